"""What is whole in a damaged record file or face set, as a new one; the source is never touched.

Two ways, as the source has it:

- A **face set** (a folder, or a record file with identity records) becomes a new folder in face2rec2's layout:
  images regrouped by class in their order in the source, under new keys; header record, identity ranges,
  `property` and `train.lst` made anew. Class numbers stay, also where a class has lost all its images.
- **Any other record file** becomes OUT.rec and its index: whole records in their order, as they are. A key comes
  from the source's index where that points to the record, else from the header's id where ids are this file's
  keys, else it is the next number after the highest.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recordio_tools import framing
from recordio_tools._salvage import SAVED_STATES, Lost, list_lost, salvage_set
from recordio_tools.checks.contents import Teller, check_images
from recordio_tools.checks.findings import Findings
from recordio_tools.checks.roles import assign_roles
from recordio_tools.checks.survey import Survey, survey
from recordio_tools.errors import SourceError
from recordio_tools.faces import record_file
from recordio_tools.index import Int64s
from recordio_tools.whole import write_whole
from recordio_tools.writer import Writer

__all__ = ["Lost", "Repaired", "describe", "repair"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `repair` saved and what it could not.

    Attributes:
        out: The folder or record file that was made.
        records: Records saved; in a face set its images.
        identities: Classes that have images; None where the source is no face set.
        lost: The first of the records that could not be saved.
        lost_total: How many there are, those that `lost` leaves out included.
        relabelled: Images whose label was restored from their identity's other images.
        doubtful: Images saved with a label that most of their identity contradict: their range is not to be
            trusted either.
    """

    out: Path
    records: int
    identities: int | None
    lost: tuple[Lost, ...]
    lost_total: int
    relabelled: int
    doubtful: int


def repair(
    source: str | Path,
    out: str | Path,
    *,
    decode: bool = False,
    force: bool = False,
    limit: int = 1000,
    progress: Progress = lambda done, total: None,
) -> Repaired:
    """Save what is whole in `source` into `out`, whole or not at all.

    An image is left out if its record is not whole, if `verify` calls the image or its label damaged, or, with
    `decode`, if OpenCV cannot decode it. An image whose label contradicts more than half of its identity gets
    theirs, if the identity's range fits its neighbours'. What was left out is listed in OUT's manifest.

    Args:
        source: A set's folder or a record file.
        out: The set's folder, or a new record file with the suffix `.rec`.
        decode: Leave out images that cannot be decoded.
        force: Replace `out`: a folder only if this package wrote it.
        limit: How many lost records are listed one by one.
        progress: Called with (work done, work in all), in bytes read and written.

    Raises:
        SourceError: The source is missing or nothing in it is whole, or `out` may not be written.
        LimitError: A key of the source does not fit the format.
    """
    source, out = Path(source), Path(out)
    rec = record_file(source)
    _check_place(source, rec, out)
    findings = Findings(limit)
    found = survey(rec, findings, decode=decode, digests=False, progress=lambda done, total: progress(done, 2 * total))
    total = len(found.buffer)

    def written(done: int) -> None:
        progress(total + done, 2 * total)

    if source.is_dir() or found.table.range_like().any():
        saved = salvage_set(found, findings, str(source), out, limit, force=force, progress=written)
        return Repaired(
            out, saved.images, saved.identities, saved.lost, saved.lost_total, saved.relabelled, saved.doubtful
        )
    return _salvage_file(found, findings, out, limit, force=force, progress=written)


def _check_place(source: Path, rec: Path, out: Path) -> None:
    """Neither the source nor the folder that holds it may be replaced, nor its index, and no file be put into it."""
    place, home = out.resolve(), source.resolve()
    inside = source.is_dir() and place.is_relative_to(home)
    if inside or rec.resolve().is_relative_to(place) or _index_of(place) == _index_of(rec.resolve()):
        raise SourceError(f"{out}: is the source, lies in it or holds it; give another name")


def _index_of(rec: Path) -> Path:
    return rec.with_suffix(".idx")


def _salvage_file(
    found: Survey, findings: Findings, out: Path, limit: int, *, force: bool, progress: Callable[[int], None]
) -> Repaired:
    if out.suffix != ".rec":
        raise SourceError(
            f"{out}: {found.rec} is no face set, expected the name of a record file; give it as {out}.rec"
        )
    report = out.with_suffix(".repair.json")
    for path in (out, _index_of(out), report):
        if path.is_dir() or (path.exists() and not force):
            raise SourceError(f"{path}: already there; replace it with --force, or give another name")
    table = found.table
    saved = np.ones(len(table), bool)
    if 2 * np.count_nonzero(table.with_header()) >= len(table):  # images: as `verify` tells it
        roles = assign_roles(found)
        check_images(Teller(found, findings), roles, None)
        saved = np.isin(table.states, SAVED_STATES)
    if not saved.any():
        raise SourceError(f"{found.rec}: no whole record in it; nothing can be saved")
    keys = _keys(found, saved)
    lost, lost_total = list_lost(found, findings, np.unique(found.index.keys), ~saved, limit)
    places = np.flatnonzero(saved)
    with Writer(out) as writer:
        for number, (place, key) in enumerate(zip(places.tolist(), keys.tolist(), strict=True), 1):
            writer.write(key, framing.decode(found.buffer, int(table.offsets[place]))[0])
            progress(len(found.buffer) * number // len(places))
    result = Repaired(out, len(places), None, lost, lost_total, 0, 0)
    write_whole(report, (json.dumps(describe(result), indent=2) + "\n").encode())
    return result


def _keys(found: Survey, saved: NDArray[np.bool_]) -> Int64s:
    """The keys of the saved records, each once: of two with the same key that with it in its header, else the first.

    Records without a key are numbered on after the highest.
    """
    keys, ids = found.keys[saved], found.table.ids[saved]
    other = ids != keys.astype(np.uint64)
    order = np.lexsort((other, keys))
    again = order[1:][np.diff(keys[order]) == 0]
    unknown = keys < 0
    unknown[again] = True
    keys = keys.copy()
    top = int(keys[~unknown].max(initial=-1))
    keys[unknown] = np.arange(top + 1, top + 1 + np.count_nonzero(unknown))
    return keys


def describe(result: Repaired) -> dict[str, Any]:
    """`result` ready for JSON."""
    return {**asdict(result), "out": str(result.out)}
