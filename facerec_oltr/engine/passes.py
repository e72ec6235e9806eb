"""One pass over a split as it is, without augmentation: class means from it, and validation accuracy."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facerec_oltr.data import DataSet, taken
from facerec_oltr.engine.model import Model, to_input, widened
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.prefetch import prefetch
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.shots import Convention, ShotAccuracies, shot_accuracies
from facerec_oltr.ranks import gathered, own_part, own_share, stacked, sum_over_ranks

_BATCH = 256
READERS = 2
"""Threads that read images ahead, where nothing else is said."""

Positions = npt.NDArray[np.int64]


def clean_batches(
    data: DataSet, device: torch.device, positions: Positions | None = None
) -> Iterator[tuple[Positions, Tensor]]:
    """Positions (B,) and the network's inputs (B, …) on `device`, in order: of all of `data`, or those `positions`."""
    chosen = np.arange(len(data)) if positions is None else positions
    parts = [chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH)]
    workers = READERS if len(data.shape) == 3 else 0  # vectors lie in memory
    with closing(prefetch(parts, data.batch, workers=workers, ahead=2, clock=time.monotonic)) as read:
        for part, loaded in zip(parts, read, strict=True):
            yield part, to_input(torch.from_numpy(loaded.value).to(device))


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
        whole = torch.from_numpy(taken(data, positions) == positions).to(device)  # not a stand-in for a damaged one
        sums.index_add_(0, labels[whole], features[whole])
        counts += torch.bincount(labels[whole], minlength=data.classes)
    if (lost := (sum_over_ranks(counts) == 0).nonzero()).numel():
        raise DataError(
            f"class {int(lost[0])}: none of its images can be read ({len(lost)} such classes), expected one or more "
            "for its centroid; leave the class out of the set, or replace the images"
        )
    return sum_over_ranks(sums).div_(counts.unsqueeze(1))


@torch.no_grad()
def accuracies(
    model: Model, data: DataSet, device: torch.device, arithmetic: Arithmetic, *, counts: Tensor, shots: Convention
) -> ShotAccuracies:
    """How well `model` tells the known classes of `data` apart; of several ranks each reads its part of every batch.

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
    shard = model.head.shard  # not the head's `columns`, which may be those of the last step's draw
    columns = None if shard is None else torch.arange(shard.start, shard.stop)
    for start in range(0, len(data), _BATCH):
        positions = np.arange(start, min(start + _BATCH, len(data)))
        part = next(clean_batches(data, device, own_part(positions)), None)
        with arithmetic.autocast():
            features = torch.empty(0, model.features_size, device=device) if part is None else model.features(part[1])
            logits = widened(model.head(gathered(features, len(positions))))
        decided[positions] = best_class(logits, columns, sharded=shard is not None).cpu().numpy()
    return shot_accuracies(decided, data.labels, counts.cpu().numpy(), shots)


def best_class(logits: Tensor, columns: Tensor | None, *, sharded: bool) -> Tensor:
    """The class of the highest logit of each row, (B,), over all ranks where classes are split; of equals the first.

    Args:
        logits: (B, C'), of all classes or of this rank's.
        columns: (C',) the class of each column; None for 0 … C' − 1.
        sharded: other ranks hold the other classes.
    """
    highest, place = logits.max(dim=1)
    best = place if columns is None else columns.to(place.device)[place]
    if not sharded:
        return best
    of_rank = stacked(highest).argmax(dim=0, keepdim=True)
    return stacked(best).gather(0, of_rank).squeeze(0)
