"""The `.idx` text → its good lines, past every bad one; what `index` refuses as a whole is read line by line."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools.checks.findings import Findings
from recordio_tools.errors import IndexMismatchError
from recordio_tools.index import LINE, LONGEST_LINE, Int64s, parse_lines

_CHUNK = 1 << 18


@dataclass(frozen=True)
class LooseIndex:
    """The lines of an index that say something: a key, and an offset that is a multiple of 4.

    Attributes:
        path: The index file.
        keys: In the order of the file; a key may stand twice.
        offsets: Byte offset of each key's record, as the file claims.
        order: The order of the entries by offset.
    """

    path: Path
    keys: Int64s
    offsets: Int64s
    order: Int64s

    @cached_property
    def _ascending(self) -> memoryview:
        return self.offsets[self.order].data

    def entries_at(self, offset: int) -> list[int]:
        """The entries that point to `offset`, in the order of the file."""
        first = bisect_left(self._ascending, offset)
        last = bisect_right(self._ascending, offset, first)
        return sorted(self.order[first:last].tolist()) if last > first else []


def read_loosely(path: Path, rec: Path, findings: Findings, *, needed: bool) -> LooseIndex:
    """The good lines of the index at `path`; what is wrong with the file goes into `findings`.

    Args:
        path: The index file; it need not be there.
        rec: The record file, for messages.
        findings: Where the faults go.
        needed: Whether a missing index is damage.
    """
    columns = np.empty((2, 0), np.int64)
    if path.is_file():
        columns = np.concatenate([columns, *_chunks(path, rec, findings)], axis=1)
    elif needed:
        what = "is no file" if path.exists() else "not there"
        findings.add("index.missing", path, f"{what}, expected the index; make it with: recordio index {rec}")
    else:
        findings.add("index.no-index", path, f"not there, as in shuffled sets; make it with: recordio index {rec}")
    keys, offsets = columns
    return LooseIndex(path, keys, offsets, np.argsort(offsets, kind="stable"))


def _chunks(path: Path, rec: Path, findings: Findings) -> Iterator[Int64s]:
    """The columns of the good lines, piece by piece."""
    lines = 0
    rest = b""
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_CHUNK), b""):
            data = (rest + block).replace(b"\r\n", b"\n")
            cut = data.rfind(b"\n") + 1
            yield _columns(data[:cut], path, rec, lines, findings)
            lines += data.count(b"\n")
            rest = data[cut:][: LONGEST_LINE + 1]  # enough to know a line that is too long, however long it is
    if rest:
        yield _columns(rest.rstrip(b"\r") + b"\n", path, rec, lines, findings)


def _columns(data: bytes, path: Path, rec: Path, before: int, findings: Findings) -> Int64s:
    try:
        return parse_lines(data, path, before)
    except IndexMismatchError:
        return _one_by_one(data, path, rec, before, findings)


def _one_by_one(data: bytes, path: Path, rec: Path, before: int, findings: Findings) -> Int64s:
    good: list[tuple[int, int]] = []
    advice = f"remake it with: recordio index --force {rec}"
    for number, line in enumerate(data.split(b"\n")[:-1], before + 1):
        if not LINE.fullmatch(line + b"\n"):
            shown = line[:60].decode("ascii", "backslashreplace")
            findings.add(
                "index.bad-line",
                path,
                f"line {number:,}: found {shown!r}, expected a key, a tab and a byte offset; {advice}",
            )
            continue
        key, offset = map(int, line.split(b"\t"))
        if offset % 4:
            findings.add(
                "index.unaligned",
                path,
                f"line {number:,}: found an offset that no record can have, expected a multiple of 4; {advice}",
                key=key,
                offset=offset,
            )
        else:
            good.append((key, offset))
    return np.array(good, np.int64).reshape(-1, 2).T


class Matched:
    """Which entry of an index belongs to which whole record.

    Attributes:
        records: For each entry the record that it points to, -1 where none starts there.
        entries: For each record the first entry that points to it, -1 where none does.
    """

    def __init__(self, index: LooseIndex, offsets: Int64s) -> None:
        self.records = positions_of(index.offsets, offsets)
        self.entries = np.full(len(offsets), -1, np.int64)
        hits = np.flatnonzero(self.records >= 0)[::-1]  # of several entries the first is written last
        self.entries[self.records[hits]] = hits


def positions_of(wanted: Int64s, ascending: Int64s) -> Int64s:
    """Where each of `wanted` stands in `ascending`; -1 where it does not."""
    if not len(ascending):
        return np.full(len(wanted), -1, np.int64)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[places] == wanted, places, -1)


def check_index(
    index: LooseIndex, matched: Matched, offsets: Int64s, faulty: NDArray[np.bool_], rec: Path, size: int, out: Findings
) -> bool:
    """Hold the index against the records; whether it is this file's at all.

    Args:
        index: The index, with one entry at least.
        matched: Which entry is which record's.
        offsets: Of the whole records.
        faulty: Entries whose record is known to be broken; they are told already.
        rec: The record file.
        size: Its bytes.
        out: Where the findings go.
    """
    advice = f"remake it with: recordio index --force {rec}"

    def tell(code: str, entries: Int64s, text: str) -> None:
        out.add_each(
            code,
            entries,
            len(entries),
            lambda e: out.add(code, index.path, text, key=int(index.keys[e]), offset=int(index.offsets[e])),
        )

    past = index.offsets > size - 8
    missed = (matched.records < 0) & ~past & ~faulty
    inside = int(np.count_nonzero(~past))
    own = 2 * int(np.count_nonzero(missed)) <= inside
    if not own:
        out.add(
            "index.other-file",
            index.path,
            f"found no record at {np.count_nonzero(missed):,} of the {inside:,} offsets inside {rec}, expected one at "
            f"each: it is another file's index; {advice}",
        )
    tell("index.past-end", np.flatnonzero(past & ~faulty), f"found an offset past the end of {rec} ({size:,} bytes)")
    tell("index.no-record", np.flatnonzero(missed), f"found no record's head there in {rec}; {advice}")
    by_key = np.argsort(index.keys, kind="stable")
    again = by_key[1:][np.diff(index.keys[by_key]) == 0]
    tell("index.duplicate-key", np.sort(again), f"found the key for the second time, expected it once; {advice}")
    again = index.order[1:][np.diff(index.offsets[index.order]) == 0]
    text = f"found a second key for the record, expected one; {advice}"
    tell("index.duplicate-offset", np.sort(again[matched.records[again] >= 0]), text)
    return own
