"""What the engine asks of any data set, and which parts a benchmark may have."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from facerec_oltr.data.crop import RandomCrop

Split = Literal["train", "val", "test", "open_val", "open_test"]
"""Training; validation and test of the known classes; strangers to choose a threshold by, and others to test it by."""

STRANGER = -1
"""The label of everything in `open_val` and `open_test`."""

NO_STAND_INS: Mapping[int, int] = MappingProxyType({})
"""Of a data set that stops at a damaged input."""


class DataSet(Protocol):
    """One split, opened and checked.

    Attributes:
        labels: (N,) int64 in [0, C); in the open splits all STRANGER.
        classes: C; 0 in the open splits.
        shape: of one input: (S, S, 3) for images, (D,) for feature vectors.
        fingerprint: hex digest of everything that decides what the split holds.
        stand_ins: of a set that was asked to skip damaged images, those that `batch` has met so far: the position of
            each → the position of the one that it gives instead; see ``taken``. Other sets raise, and have none.
    """

    @property
    def labels(self) -> npt.NDArray[np.int64]: ...
    @property
    def classes(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def stand_ins(self) -> Mapping[int, int]: ...

    def __len__(self) -> int: ...

    def batch(self, positions: npt.NDArray[np.int64], crop: RandomCrop | None = None) -> npt.NDArray[Any]:
        """The inputs at `positions` (B,): (B, S, S, 3) uint8 RGB, or (B, D) float32; always B, see `stand_ins`.

        Args:
            positions: which.
            crop: for training: a random part of each whole image, resized to (S, S). None gives the view for
                evaluation, always the same. Never given for vectors.
        """
        ...

    def name(self, position: int) -> str:
        """What a person can find the input at `position` by: its file, its key, its place in an array."""
        ...


def taken(data: DataSet, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Whose inputs ``data.batch(positions)`` gave; to be asked after it.

    Labels belong to these. Where they differ from `positions` an image was damaged and another stands in: whoever
    counts images, or takes means over them, leaves those places out.
    """
    if not data.stand_ins:
        return positions
    return np.array([data.stand_ins.get(position, position) for position in positions.tolist()], np.int64)
