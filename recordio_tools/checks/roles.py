"""Which record is an image, which an identity, which the header record: the convention of `faces`, past damage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recordio_tools.checks.loose_index import positions_of
from recordio_tools.checks.sniff import State
from recordio_tools.checks.survey import Survey
from recordio_tools.header import FLOAT32_EXACT
from recordio_tools.index import Int64s


@dataclass(frozen=True)
class Roles:
    """What each whole record of a set is.

    Attributes:
        header: The position of the header record, None where there is none to believe.
        bounds: (first, end) of the keys of the identity records, from the header record; None in a plain set and
            where the header cannot be believed.
        ranges: Mask of the records that look like a header record or an identity.
        slots: Position of the record of each key from `bounds[0]` to `bounds[1] - 1`, -1 where there is none.
        images: Mask of the images, those of which the bytes are gone included.
    """

    header: int | None
    bounds: tuple[int, int] | None
    ranges: NDArray[np.bool_]
    slots: Int64s
    images: NDArray[np.bool_]

    @property
    def rounded(self) -> bool:
        """Whether the ranges pass 2^24, where float32 no longer tells keys apart."""
        return self.bounds is not None and self.bounds[1] > FLOAT32_EXACT

    @property
    def identities(self) -> Int64s:
        """Positions of the identity records that are where the header record says, in the order of their keys."""
        there = self.slots[self.slots >= 0]
        return there[self.ranges[there]]


def assign_roles(found: Survey) -> Roles:
    """Tell the records of a set apart; a header is believed if it points to one identity record at least."""
    table = found.table
    ranges = table.range_like()
    usable = table.with_header()
    header: int | None = found.position(0)
    if header < 0 or not ranges[header]:
        return Roles(None, None, ranges, np.empty(0, np.int64), usable & ~ranges)
    first, end = (int(min(bound, 1 << 62)) for bound in table.labels[header].tolist())
    others = ranges.copy()
    others[header] = False
    inside = others & (found.keys >= first) & (found.keys < end)
    rounded = end > FLOAT32_EXACT
    if first < 2 or not (inside.any() or (rounded and others.any())):
        return Roles(header, None, ranges, np.empty(0, np.int64), usable & ~ranges)
    if rounded:  # the bounds are a few keys off: what looks like an identity is one
        slots = np.flatnonzero(others)
        return Roles(header, (first, end), ranges, slots, usable & ~ranges)
    by_key = np.argsort(found.keys, kind="stable")
    places = positions_of(np.arange(first, end), found.keys[by_key])
    slots = np.where(places >= 0, by_key[places], -1)
    emptied = np.zeros(len(table), bool)
    emptied[slots[slots >= 0]] = True
    emptied &= table.states == State.EMPTY
    return Roles(header, (first, end), ranges, slots, usable & ~ranges & ~emptied)
