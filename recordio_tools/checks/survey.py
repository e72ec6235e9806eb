"""One pass over a record file: its records, its faults and its index brought together."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools._mapped import map_file
from recordio_tools._threads import in_order, workers_of
from recordio_tools.checks.findings import Findings
from recordio_tools.checks.loose_index import LooseIndex, Matched, check_index, positions_of, read_loosely
from recordio_tools.checks.table import Row, Rows, Table
from recordio_tools.checks.walk import Fault, Record, walk
from recordio_tools.images import require_opencv
from recordio_tools.index import Int64s

_KEY_LIMIT = 10**18


@dataclass(frozen=True)
class Survey:
    """What is known of a record file after one pass.

    Attributes:
        rec: The record file.
        buffer: Its bytes.
        index: Its index; empty where there is none, or another file's.
        table: One row a whole record, in file order.
        keys: Of each whole record: from the index, else from its header if ids are keys in this file, else -1.
        indexed: Whether the key is from the index.
        told: Keys of which a finding says already that their record is broken or not to be found; sorted.
        nameless: How many faults of the framing have no key.
        shuffled: Whether `property` says that the set is shuffled.
    """

    rec: Path
    buffer: memoryview
    index: LooseIndex
    table: Table
    keys: Int64s
    indexed: NDArray[np.bool_]
    told: Int64s
    nameless: int
    shuffled: bool

    def position(self, key: int) -> int:
        """The first record of `key`, -1 where there is none."""
        places = np.flatnonzero(self.keys == key)
        return int(places[0]) if len(places) else -1


def survey(
    rec: Path,
    findings: Findings,
    *,
    decode: bool,
    digests: bool,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
    """Walk through `rec` once, past every fault; what is wrong with framing and index goes into `findings`.

    Args:
        rec: The record file.
        findings: The faults.
        decode: Decode every image.
        digests: Keep a digest of every image.
        workers: Images that are decoded at a time; by default one for each core that may be used.
        progress: Called with (bytes done, bytes in all).

    Raises:
        SourceError: There is no such file, or `decode` was asked for and OpenCV cannot be loaded.
    """
    if decode:
        require_opencv()
    buffer = map_file(rec)
    shuffled = _says_shuffled(rec.with_name("property"))
    index = read_loosely(rec.with_suffix(".idx"), rec, findings, needed=not shuffled)
    rows = Rows(decode=decode, digests=digests)
    faulty = np.zeros(len(index.keys), bool)
    nameless = 0
    with closing(look_through(walk(buffer, progress), rows, workers)) as looked:
        for event in looked:
            if isinstance(event, Fault):
                entries = index.entries_at(event.offset)
                key = int(index.keys[entries[0]]) if len(entries) else None
                findings.add(event.code, rec, event.text, key=key, offset=event.offset)
                if event.code != "framing.padding":
                    faulty[entries] = True
                    nameless += key is None
            else:
                rows.add(*event)
    table = rows.table()
    index, matched, complete = _own_index(index, table, faulty, rec, len(buffer), findings)
    indexed = matched.entries >= 0
    keys = _keys(table, matched, index)
    if complete:
        _tell_unindexed(np.flatnonzero(~indexed), keys, table, index, rec, findings)
    told = np.unique(index.keys[matched.records < 0])
    return Survey(rec, buffer, index, table, keys, indexed, told, nameless, shuffled)


def look_through(
    events: Iterable[Record | Fault], rows: Rows, workers: int | None
) -> Generator[tuple[int, Row] | Fault, None, None]:
    """Each fault, and the offset and row of each record, in their order; images are decoded several at a time.

    Close it as `in_order`.
    """
    if not rows.decode:
        return (event if isinstance(event, Fault) else (event.offset, rows.look(event.payload)) for event in events)

    def taken() -> Iterator[tuple[int, bytes | memoryview, Row | None] | Fault]:
        for event in events:
            if isinstance(event, Fault):
                yield event
            elif isinstance(event.payload, bytes):  # joined from parts: such copies shall not wait for their turn
                yield event.offset, b"", rows.look(event.payload)
            else:
                yield event.offset, event.payload, None

    def look(item: tuple[int, bytes | memoryview, Row | None] | Fault) -> tuple[int, Row] | Fault:
        if isinstance(item, Fault):
            return item
        offset, payload, row = item
        return offset, row or rows.look(payload)

    return in_order(look, taken(), workers_of(workers))


def _own_index(
    index: LooseIndex, table: Table, faulty: NDArray[np.bool_], rec: Path, size: int, findings: Findings
) -> tuple[LooseIndex, Matched, bool]:
    """The index if it is this file's, else none; how it fits; whether it should hold every record."""
    matched = Matched(index, table.offsets)
    if len(index.keys):
        if check_index(index, matched, table.offsets, faulty, rec, size, findings):
            return index, matched, True
        index = LooseIndex(index.path, *np.empty((3, 0), np.int64))
        return index, Matched(index, table.offsets), False
    said = findings.counts
    spoilt = bool(said["index.bad-line"] or said["index.unaligned"])
    if index.path.is_file() and len(table) and not spoilt:
        advice = f"remake it with: recordio index --force {rec}"
        findings.add("index.empty", index.path, f"found no line, expected {len(table):,}; {advice}")
    return index, matched, spoilt


def _tell_unindexed(
    places: Int64s, keys: Int64s, table: Table, index: LooseIndex, rec: Path, findings: Findings
) -> None:
    text = f"found no line for this record of {rec}, expected one; remake it with: recordio index --force {rec}"

    def add(place: int) -> None:
        key = None if keys[place] < 0 else int(keys[place])
        findings.add("index.unindexed", index.path, text, key=key, offset=int(table.offsets[place]))

    findings.add_each("index.unindexed", places, len(places), add)


def _keys(table: Table, matched: Matched, index: LooseIndex) -> Int64s:
    """The key of each record: from the index, else the id in its header if ids are this file's keys, else -1.

    They are if those of more than half of the indexed records are; in a file without an index, if those of more
    than half of the records are there once. Where they are not, records without an index are numbered 0, 1, 2 …
    in file order, as `rebuild` does it.
    """
    indexed = matched.entries >= 0
    keys = np.full(len(table), -1, np.int64)
    keys[indexed] = index.keys[matched.entries[indexed]]
    able = table.with_header() & (table.ids < _KEY_LIMIT)
    ids = table.ids.astype(np.int64)
    if indexed.any():
        fit = np.count_nonzero((ids == keys)[indexed])
        if 2 * fit <= np.count_nonzero(indexed):
            return keys
    able &= ~indexed
    values, counts = np.unique(ids[able], return_counts=True)
    free = values[(counts == 1) & (positions_of(values, np.unique(index.keys)) < 0)]
    usable = able & (positions_of(ids, free) >= 0)
    if not indexed.any() and 2 * np.count_nonzero(usable) <= len(table):
        return np.arange(len(table))
    keys[usable] = ids[usable]
    return keys


def _says_shuffled(path: Path) -> bool:
    """Whether the third line of `property` is the word that a shuffled set has there."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        lines = file.read(1 << 12).splitlines()
    return len(lines) > 2 and lines[2].strip() == b"shuffled"
