"""One pass over a split as it is, without augmentation: class means from it, and validation accuracy."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facerec_oltr.data import DataSet
from facerec_oltr.engine.model import Model, to_input
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.heads.ranks import own_share, sum_over_ranks
from facerec_oltr.metrics.shots import Convention, ShotAccuracies, shot_accuracies

_BATCH = 256

Positions = npt.NDArray[np.int64]


def clean_batches(
    data: DataSet, device: torch.device, positions: Positions | None = None
) -> Iterator[tuple[Positions, Tensor]]:
    """Positions (B,) and the network's inputs (B, …) on `device`, in order: of all of `data`, or those `positions`."""
    chosen = np.arange(len(data)) if positions is None else positions
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        yield part, to_input(torch.from_numpy(data.batch(part)).to(device))


@torch.no_grad()
def class_means(
    model: Model,
    data: DataSet,
    device: torch.device,
    arithmetic: Arithmetic,
    of: Callable[[Tensor], Tensor] = lambda features: features,
) -> Tensor:
    """The mean feature of every class, (C, D), over all of `data`; of several ranks each reads its share.

    Args:
        model: on `device`.
        data: all training images, taken as they are.
        device: where.
        arithmetic: the precision of the training.
        of: a function (B, D) → (B, D) whose mean is wanted instead.
    """
    model.eval()
    sums = torch.zeros(data.classes, model.features_size, device=device)
    counts = torch.zeros(data.classes, dtype=torch.int64, device=device)
    for positions, inputs in clean_batches(data, device, own_share(len(data))):
        labels = torch.from_numpy(data.labels[positions]).to(device)
        with arithmetic.autocast():
            features = of(model.features(inputs)).float()
        sums.index_add_(0, labels, features)
        counts += torch.bincount(labels, minlength=data.classes)
    return sum_over_ranks(sums).div_(sum_over_ranks(counts).unsqueeze(1))


@torch.no_grad()
def accuracies(
    model: Model, data: DataSet, device: torch.device, arithmetic: Arithmetic, *, counts: Tensor, shots: Convention
) -> ShotAccuracies:
    """How well `model` tells the known classes of `data` apart.

    Args:
        model: on `device`.
        data: a split of known classes.
        device: where.
        arithmetic: the precision of the training.
        counts: (C,) training images of each class.
        shots: by which convention classes are many, medium or few shot.
    """
    model.eval()
    decided = np.empty(len(data), np.int64)
    for positions, inputs in clean_batches(data, device):
        with arithmetic.autocast():
            _, logits = model(inputs)
        decided[positions] = logits.argmax(dim=1).cpu().numpy()
    return shot_accuracies(decided, data.labels, counts.cpu().numpy(), shots)
