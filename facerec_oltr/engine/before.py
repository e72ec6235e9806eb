"""What can be known to be wrong before a run begins."""

import shutil
from pathlib import Path

from facerec_oltr.data import DataSet
from facerec_oltr.errors import CheckpointError, DataError, TrainingError
from facerec_oltr.experiment import Experiment
from facerec_oltr.ranks import rank_and_ranks

_COPIES = 6  # of the network's bytes: the moment before and the next, each with its momentum, and two sets of weights


def check_batch(experiment: Experiment, data: DataSet) -> None:
    """Compare the size of a batch with the training set and the number of processes.

    Raises:
        TrainingError: it does not fit.
    """
    size, ranks = experiment.schedule.batch_size, rank_and_ranks()[1]
    if size > len(data):
        raise TrainingError(
            f"schedule.batch_size is {size:,}, more than the {len(data):,} inputs of the training split; "
            f"set it to {len(data):,} or less"
        )
    if ranks > 1 and size < 4 * ranks:  # an epoch's batches are made near equal, so some are half as large
        raise TrainingError(
            f"schedule.batch_size is {size:,} for {ranks} processes together, expected 4 or more for each; "
            f"set it to {4 * ranks:,} or more, or start fewer processes"
        )


def validation_split(experiment: Experiment) -> DataSet | None:
    """The validation split, if the data set has one and it is to be measured.

    Raises:
        DataError: it is empty, missing or damaged.
    """
    if not experiment.schedule.validate_every or "val" not in experiment.data.splits():
        return None
    try:
        validation = experiment.data.build("val")
        if not len(validation):
            raise DataError(f"{experiment.dataset}: the split 'val' is empty")
    except DataError as error:
        raise DataError(f"{error}; to train without validation: --set schedule.validate_every=0") from None
    return validation


def check_room(out: Path, size: int) -> None:
    """Ask whether the disk has room for the checkpoints of a network of `size` bytes in `out`.

    Raises:
        CheckpointError: it has not.
    """
    need = _COPIES * size
    free = shutil.disk_usage(out).free
    if free < need:
        raise CheckpointError(
            f"{out}: the disk has {free / 1e6:,.0f} MB left, expected {need / 1e6:,.0f} MB for checkpoints; "
            "make room, or give another --out"
        )
