"""The records of a file that a view uses, read alone and in the order of the file: a fraction of MS1M's 28 GB."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from recordio_tools._mapped import map_file
from recordio_tools.checks.findings import Findings
from recordio_tools.checks.loose_index import LooseIndex, positions_of
from recordio_tools.checks.survey import Survey, look_through
from recordio_tools.checks.table import Rows
from recordio_tools.checks.walk import Fault, Record, walk
from recordio_tools.images import require_opencv
from recordio_tools.index import Int64s


def survey_used(
    rec: Path,
    index: LooseIndex,
    entries: Int64s,
    findings: Findings,
    *,
    decode: bool,
    digests: bool,
    workers: int | None,
    progress: Callable[[int, int], None],
) -> Survey:
    """As `survey`, of those records alone to which `entries` of the index point.

    Records that stand side by side are walked through together. A fault between the record of one entry and the
    place of the next is that of the record.

    Raises:
        SourceError: There is no such file, or `decode` was asked for and OpenCV cannot be loaded.
    """
    if decode:
        require_opencv()
    buffer = map_file(rec)
    starts, ends, keys = _spans(rec, index, entries, len(buffer), findings)
    rows = Rows(decode=decode, digests=digests)
    told = np.zeros(len(starts), bool)
    with closing(look_through(_walk_spans(buffer, starts, ends, progress), rows, workers)) as looked:
        for event in looked:
            offset = event.offset if isinstance(event, Fault) else event[0]
            place = int(np.searchsorted(starts, offset, "right")) - 1
            if isinstance(event, Fault):
                findings.add(event.code, rec, event.text, key=int(keys[place]), offset=offset)
                told[place] |= event.code != "framing.padding"
            elif offset == starts[place]:
                rows.add(*event)
    table = rows.table()
    there = positions_of(starts, table.offsets) >= 0
    for place in np.flatnonzero(~there & ~told).tolist():
        text = f"found no record's head there in {rec}; remake it with: recordio index --force {rec}"
        findings.add("index.no-record", index.path, text, key=int(keys[place]), offset=int(starts[place]))
    found = keys[there]
    indexed = np.ones(len(found), bool)
    return Survey(rec, buffer, index, table, found, indexed, np.sort(keys[~there]), 0, False)


def _spans(
    rec: Path, index: LooseIndex, entries: Int64s, size: int, findings: Findings
) -> tuple[Int64s, Int64s, Int64s]:
    """(starts, ends, keys) of the records, by their place in the file; each ends where the index has the next one."""
    offsets = index.offsets[entries]
    for entry in entries[offsets > size - 8].tolist():
        text = f"found an offset past the end of {rec} ({size:,} bytes)"
        findings.add("index.past-end", index.path, text, key=int(index.keys[entry]), offset=int(index.offsets[entry]))
    entries = entries[offsets <= size - 8]
    entries = entries[np.argsort(index.offsets[entries], kind="stable")]
    starts = index.offsets[entries]
    again = np.diff(starts, prepend=-1) == 0
    for entry in entries[again].tolist():
        text = f"found a second key for the record, expected one; remake it with: recordio index --force {rec}"
        key, offset = int(index.keys[entry]), int(index.offsets[entry])
        findings.add("index.duplicate-offset", index.path, text, key=key, offset=offset)
    entries, starts = entries[~again], starts[~again]
    bounds = np.append(np.unique(index.offsets[index.offsets < size]), size)
    return starts, bounds[np.searchsorted(bounds, starts, "right")], index.keys[entries]


def _walk_spans(
    buffer: memoryview, starts: Int64s, ends: Int64s, progress: Callable[[int, int], None]
) -> Iterator[Record | Fault]:
    """What a walk through the spans gives, from each up to the next that does not follow at once."""
    if not len(starts):
        return
    firsts = np.flatnonzero(np.concatenate([[True], starts[1:] != ends[:-1]]))
    lasts = np.append(firsts[1:], len(starts)) - 1
    total, done = int((ends - starts).sum()), 0
    for start, end in zip(starts[firsts].tolist(), ends[lasts].tolist(), strict=True):
        yield from walk(buffer, start=start, end=end)
        done += end - start
        progress(done, total)
