"""The first words of many records at once: lengths, flags and labels without a Python loop over records."""

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import DamageError, IndexMismatchError
from recordio_tools.framing import MAGIC_WORD, MAX_LENGTH
from recordio_tools.header import HEADER, unpack
from recordio_tools.index import Int64s
from recordio_tools.reader import Reader


class Words:
    """The first words of many records at once, gathered from the mapped file.

    Args:
        reader: The record file.
        keys: Whose records.

    Attributes:
        lengths: Bytes of each payload.
        flags: The flag of each image header.

    Raises:
        IndexMismatchError: The index lacks a key.
        DamageError: A record breaks the format, or is too short for its header and labels.
    """

    def __init__(self, reader: Reader, keys: Int64s) -> None:
        places = positions(reader, keys)
        words = np.frombuffer(reader.buffer, "<u4", len(reader.buffer) // 4)
        heads = reader.index.offsets[places] // 4
        most = len(words) - 1

        def word(number: int) -> NDArray[np.uint32]:
            return words[np.minimum(heads + number, most)]

        self.lengths, self.flags = word(1), word(2)
        self._labels = np.stack([word(3), word(8), word(9)]).view("<f4")
        ends = 4 * heads.astype(np.int64) + 8 + (self.lengths.astype(np.int64) + 3 & ~3)
        simple = (word(0) == MAGIC_WORD) & (self.lengths <= MAX_LENGTH) & (ends <= len(reader.buffer))
        simple &= self.lengths >= HEADER.size + 4 * self.flags.astype(np.int64)
        for odd in np.flatnonzero(~simple).tolist():
            self._read_one(reader, int(places[odd]), odd)

    def label(self, number: int) -> NDArray[np.float64]:
        """Label `number` (0 or 1) of each record; the scalar label counts as number 0."""
        scalar = self._labels[0] if number == 0 else np.full(len(self.flags), np.nan, np.float32)
        with np.errstate(invalid="ignore"):  # a damaged label may be a signalling NaN
            return np.where(self.flags == 0, scalar, self._labels[number + 1]).astype(np.float64)

    def _read_one(self, reader: Reader, position: int, odd: int) -> None:
        """A record of several parts is joined first; a broken one raises here, with its name."""
        view = reader.view_at(position)
        try:
            header, _ = unpack(view)
        except DamageError as error:
            raise reader.damage(error, position) from None
        labels = np.resize(np.append(np.ravel(header.label), np.nan), 2)
        self.lengths[odd], self.flags[odd] = len(view), header.flag
        self._labels[:, odd] = labels[0], labels[0], labels[1]


def positions(reader: Reader, keys: Int64s) -> Int64s:
    """Where each key stands in the index; all of them must be there."""
    places = reader.index.positions(keys)
    missing = np.flatnonzero(places < 0)
    if len(missing):
        raise IndexMismatchError(
            f"{reader.index.path}: no key {keys[missing[0]]}, expected every key from {keys[0]} to {keys[-1]} "
            f"as {reader.path} says; remake it with: recordio index {reader.path}"
        )
    return places
