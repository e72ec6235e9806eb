"""A finished run read back: its experiment and its network, and what the network gives for a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from facerec_oltr.config import check_experiment
from facerec_oltr.data import DataSet
from facerec_oltr.engine.checkpoint import load_weights, read_json
from facerec_oltr.engine.model import Model, build_model
from facerec_oltr.engine.passes import clean_batches
from facerec_oltr.errors import CheckpointError
from facerec_oltr.experiment import Experiment

Weights = Literal["last", "best"]
WEIGHTS_FILES: dict[Weights, str] = {"last": "model.safetensors", "best": "best.safetensors"}


@dataclass(frozen=True)
class FinishedRun:
    """A trained network and where it comes from.

    Attributes:
        path: the run folder.
        experiment: every choice.
        model: the network of the last stage, for evaluation.
        shape: of one input, as the data set gives it.
        trained_on: fingerprint of the training split.
        weights: the file of the weights.
        which: the weights of the last epoch, or of that with the best validation accuracy.
    """

    path: Path
    experiment: Experiment
    model: Model
    shape: tuple[int, ...]
    trained_on: str
    weights: Path
    which: Weights = "last"

    @torch.no_grad()
    def outputs(
        self, data: DataSet, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features (N, D) and logits (N, C) of everything in `data`, in its order."""
        device = next(self.model.head.parameters(), torch.empty(0)).device
        features = np.empty((len(data), self.model.features_size), np.float32)
        logits: npt.NDArray[np.float32] | None = None
        for positions, inputs in clean_batches(data, device):
            part_features, part_logits = self.model(inputs)
            if logits is None:
                logits = np.empty((len(data), part_logits.shape[1]), np.float32)
            features[positions], logits[positions] = part_features.cpu().numpy(), part_logits.cpu().numpy()
            on_progress(int(positions[-1]) + 1, len(data))
        return features, np.empty((0, 0), np.float32) if logits is None else logits


def load_run(run: Path, device: torch.device | None = None, weights: Weights = "last") -> FinishedRun:
    """Read a run folder of ``facerec train``.

    Args:
        run: the folder.
        device: where to put the network; the processor if not given.
        weights: those that training ended with, or those of the last stage's epoch that validated best.

    Raises:
        CheckpointError: the run is missing, unfinished, damaged or from an older version, or kept no best weights.
    """
    description = read_json(run / "experiment.json")
    try:
        table, data = description["experiment"], description["data"]
        shape, classes = tuple(map(int, data["shape"])), int(data["classes"])
        trained_on = str(data["fingerprint"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{run / 'experiment.json'}: is not an experiment of this version of facerec train; train it again"
        ) from None
    experiment = check_experiment(table, str(run / "experiment.json"))
    if not (run / WEIGHTS_FILES["last"]).exists():
        raise CheckpointError(
            f"{run}: the run is not finished; go on with: facerec train {experiment.method} --on {experiment.dataset} "
            f"--out {run}"
        )
    path = run / WEIGHTS_FILES[weights]
    if weights == "best" and not path.exists():
        raise CheckpointError(
            f"{run}: kept no best weights, since nothing was validated (no split 'val', or schedule.validate_every=0); "
            "take the last"
        )
    model = build_model(experiment, experiment.stages[-1], shape=shape, classes=classes, seed=0)
    model.load(load_weights(path), str(path))
    model = model.eval().to(device or torch.device("cpu"))
    return FinishedRun(run, experiment, model, shape, trained_on, path, weights)
