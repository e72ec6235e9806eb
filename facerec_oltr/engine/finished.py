"""A finished run read back: its experiment and its network, and what the network gives for a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from facerec_oltr.config import check_experiment
from facerec_oltr.data import DataSet
from facerec_oltr.engine.checkpoint import load_weights, read_json
from facerec_oltr.engine.model import Model, build_model, to_input
from facerec_oltr.errors import CheckpointError
from facerec_oltr.experiment import Experiment

_BATCH = 256


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
    """

    path: Path
    experiment: Experiment
    model: Model
    shape: tuple[int, ...]
    trained_on: str
    weights: Path

    @torch.no_grad()
    def outputs(
        self, data: DataSet, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features (N, D) and logits (N, C) of everything in `data`, in its order."""
        device = next(self.model.head.parameters(), torch.empty(0)).device
        features = np.empty((len(data), self.model.features_size), np.float32)
        logits: npt.NDArray[np.float32] | None = None
        for start in range(0, len(data), _BATCH):
            stop = min(start + _BATCH, len(data))
            inputs = torch.from_numpy(data.batch(np.arange(start, stop))).to(device)
            part_features, part_logits = self.model(to_input(inputs))
            if logits is None:
                logits = np.empty((len(data), part_logits.shape[1]), np.float32)
            features[start:stop], logits[start:stop] = part_features.cpu().numpy(), part_logits.cpu().numpy()
            on_progress(stop, len(data))
        return features, np.empty((0, 0), np.float32) if logits is None else logits


def load_run(run: Path, device: torch.device | None = None) -> FinishedRun:
    """Read a run folder of ``facerec train``.

    Raises:
        CheckpointError: the run is missing, unfinished, damaged or from an older version.
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
    weights = run / "model.safetensors"
    if not weights.exists():
        raise CheckpointError(
            f"{run}: the run is not finished; go on with: facerec train {experiment.method} --on {experiment.dataset} "
            f"--out {run}"
        )
    model = build_model(experiment, experiment.stages[-1], shape=shape, classes=classes, seed=0)
    model.load(load_weights(weights), str(weights))
    model = model.eval().to(device or torch.device("cpu"))
    return FinishedRun(run, experiment, model, shape, trained_on, weights)
