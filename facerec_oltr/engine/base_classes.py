"""Which classes are few-shot, and which are the base classes that a stage may be for alone."""

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Experiment
from facerec_oltr.metrics.shots import shot_bins


def few_shot_classes(experiment: Experiment, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which classes are few-shot by the experiment's convention, (C,); the others are the base classes.

    Raises:
        ConfigError: a stage is for the base classes, and there are fewer than two, or no others.
    """
    few_shot = shot_bins(counts, experiment.shots)["few"]
    few, base = int(few_shot.sum()), int((~few_shot).sum())
    if any(stage.classes == "base" for stage in experiment.stages) and (base < 2 or not few):
        raise ConfigError(
            f"{experiment.method} on {experiment.dataset}: by shots = {experiment.shots!r} the training set has {base} "
            f"base classes and {few} few-shot ones (it has {counts.min()} to {counts.max()} images a class), expected "
            "at least 2 and 1; choose another convention with --set shots=…, or another method"
        )
    return few_shot
