"""The rows that every kind of index searches: whose they are, their vectors, and what makes scanning them fast."""

import secrets
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.index._coder import Coder
from facerec_oltr.gallery.index._columns import Array, Column, MemoryColumn
from facerec_oltr.gallery.index._scores import lengths
from facerec_oltr.gallery.records import Ids, Vectors

GONE = -1  # the key and owner of an erased row

_BLOCK = 16_384  # rows moved, rounded or encoded at once

MakeColumn = Callable[[str, str, int], Column]


def in_memory(name: str, dtype: str, width: int) -> Column:
    """A column in memory."""
    return MemoryColumn(dtype, width)


class Rows:
    """Rows of key, owner and vector; with halves (half-precision vectors) or codes where a kind asks for them.

    An erased row stays in its place, zeros in all but key and owner, until the rows are packed.

    Attributes:
        count: of all rows.
        dead: of erased ones.
        longest: no vector that was added is longer.
        layout: another whenever rows have moved; as long as it stays, rows only come behind or are erased.
        coder: of the codes, if they are kept.
        trained_on: how many rows there were when the coder was trained.
    """

    def __init__(self, dimensions: int, make: MakeColumn = in_memory) -> None:
        self.dimensions = dimensions
        self.count, self.dead, self.longest, self.layout = 0, 0, 0.0, 0
        self.coder: Coder | None = None
        self.trained_on = 0
        self._make = make
        self._columns: dict[str, Column] = {
            "vectors": make("vectors", "<f4", dimensions),
            "owners": make("owners", "<i8", 2),
        }

    @property
    def live(self) -> int:
        """How many rows are not erased."""
        return self.count - self.dead

    @property
    def keys(self) -> Ids:
        """(n,) the number of each row, GONE where it is erased."""
        return self._columns["owners"].array(self.count)[:, 0]

    @property
    def owners(self) -> Ids:
        """(n,) to whom it belongs."""
        return self._columns["owners"].array(self.count)[:, 1]

    @property
    def vectors(self) -> Vectors:
        """(n, D)."""
        return self._columns["vectors"].array(self.count)

    @property
    def halves(self) -> npt.NDArray[np.float16] | None:
        """(n, D) the vectors in half precision, where they are kept."""
        return self._columns["halves"].array(self.count) if "halves" in self._columns else None

    @property
    def codes(self) -> npt.NDArray[np.uint8] | None:
        """(n, width) the coder's codes, where there is one."""
        return self._columns["codes"].array(self.count) if "codes" in self._columns else None

    def columns(self) -> dict[str, Column]:
        """All columns by name."""
        return dict(self._columns)

    def append(self, keys: Ids, owners: Ids, vectors: Vectors) -> None:
        """Add rows."""
        start = self.count
        for name, column in self._columns.items():
            if name != "owners":
                column.write(start, self._made(name, vectors))
        self._columns["owners"].write(start, np.column_stack([keys, owners]))
        self.count = start + len(keys)
        self.longest = max(self.longest, float(lengths(vectors).max(initial=0.0)))

    def positions(self, keys: Ids) -> Ids:
        """Where these keys are; those that are not there are left out."""
        return np.flatnonzero(np.isin(self.keys, keys)) if len(keys) else np.empty(0, np.int64)

    def positions_of_owners(self, owners: Ids) -> Ids:
        """Where the rows of these owners are."""
        return np.flatnonzero(np.isin(self.owners, owners)) if len(owners) else np.empty(0, np.int64)

    def erase(self, positions: Ids) -> None:
        """Overwrite rows with zeros; key and owner come last, so that a row half erased can still be found."""
        gone = np.full((1, 2), GONE, np.int64)
        for position in positions.tolist():
            for name, column in self._columns.items():
                if name != "owners":
                    column.write(position, np.zeros_like(column.array(self.count)[position : position + 1]))
            self._columns["owners"].write(position, gone)
        self.dead += len(positions)

    def mend(self) -> None:
        """After work that was broken off: erasures are ended and counted, and what stands behind the rows goes."""
        gone = np.flatnonzero(self.keys == GONE)
        for position in gone[self.owners[gone] != GONE].tolist():
            self._columns["owners"].write(position, np.full((1, 2), GONE, np.int64))
        for column in self._columns.values():
            column.cut(self.count)
        self.dead = len(gone)

    def give(self, positions: Ids, owners: Ids) -> None:
        """Let rows belong to others."""
        for position, owner in zip(positions.tolist(), owners.tolist(), strict=True):
            self._columns["owners"].write(position, np.array([[self.keys[position], owner]]))

    def pack(self) -> None:
        """Close the gaps of erased rows, in order, and leave nothing behind the last."""
        kept = np.flatnonzero(self.keys != GONE)
        for column in self._columns.values():
            for start in range(0, len(kept), _BLOCK):
                column.write(start, column.array(self.count)[kept[start : start + _BLOCK]])
            column.cut(len(kept))
        self.count, self.dead, self.layout = len(kept), 0, _new_layout()

    def clear(self) -> None:
        """Remove all rows and what belongs to a kind."""
        self.count, self.dead, self.longest, self.layout = 0, 0, 0.0, _new_layout()
        self.drop("halves")
        self.drop("codes")
        for column in self._columns.values():
            column.cut(0)

    def keep_halves(self) -> None:
        """Keep the vectors in half precision too."""
        if "halves" not in self._columns:
            self._add("halves", "<f2", self.dimensions)
            self.layout = _new_layout()

    def keep_codes(self, coder: Coder, *, trained_on: int) -> None:
        """Keep codes of this coder in place of another's."""
        self.drop("codes")
        self.coder, self.trained_on = coder, trained_on
        self._add("codes", "|u1", coder.width)
        self.layout = _new_layout()

    def drop(self, name: str) -> None:
        """Remove a column of halves or codes, if it is there."""
        column = self._columns.pop(name, None)
        if column is not None:
            column.drop()
        if name == "codes":
            self.coder, self.trained_on = None, 0

    def detach(self, name: str) -> None:
        """Let go of halves or codes, and leave them where they are."""
        self._columns.pop(name, None)
        if name == "codes":
            self.coder, self.trained_on = None, 0

    def attach(self, name: str, coder: Coder | None = None) -> None:
        """Take up halves or codes that are there already."""
        dtype, width = ("<f2", self.dimensions) if coder is None else ("|u1", coder.width)
        self._columns[name] = self._make(name, dtype, width)
        self.coder = coder or self.coder

    def _add(self, name: str, dtype: str, width: int) -> None:
        column = self._make(name, dtype, width)
        column.cut(0)
        for start in range(0, self.count, _BLOCK):
            block = self._made(name, self.vectors[start : start + _BLOCK])
            block[self.keys[start : start + _BLOCK] == GONE] = 0
            column.write(start, block)
        self._columns[name] = column

    def _made(self, name: str, vectors: Vectors) -> Array:
        if name == "halves":
            return rounded(vectors)
        if name == "codes":
            assert self.coder is not None, "codes are kept by a coder"
            return self.coder.encode(vectors)
        return vectors


def _new_layout() -> int:
    return secrets.randbits(52) + 1  # random: other processes number theirs alike


def rounded(vectors: Vectors) -> npt.NDArray[np.float16]:
    """Vectors in half precision; where a number is too large, infinity, which no scan is allowed to meet."""
    with np.errstate(over="ignore"):
        return vectors.astype("<f2")
