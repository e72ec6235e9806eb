"""An index compared with its store, byte for byte."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index._columns import FileColumn
from facerec_oltr.gallery.index._following import NewRows, all_rows
from facerec_oltr.gallery.index._head import Head
from facerec_oltr.gallery.index._rows import GONE, Rows, rounded
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import Finding, Fusion

_ADVICE = "delete the folder; it is made anew from the gallery"
_BLOCK = 16_384
_MOST = 20  # findings of one sort that are told one by one


def findings(place: str, rows: Rows, store: Store, fusion: Fusion, head: Head) -> list[Finding]:
    """All that is wrong with rows that follow a store; nobody may change them meanwhile."""
    problems: list[str] = []
    seen = np.zeros(rows.count, bool)
    try:
        for new in all_rows(store, fusion, head.last_template):
            problems += _compared(rows, new, seen)
    except GalleryError as error:
        return [Finding(place, f"cannot be compared with the store: {error}", "mend the store first")]
    extra = rows.keys[~seen & (rows.keys != GONE)]
    problems += [f"row of {key}, which the store does not hold" for key in extra.tolist()]
    problems += [*_erased(rows), *_behind(rows)]
    told = [Finding(place, problem, _ADVICE) for problem in problems[:_MOST]]
    if len(problems) > _MOST:
        told.append(Finding(place, f"{len(problems) - _MOST:,} more of the kind", _ADVICE))
    return told


def _compared(rows: Rows, new: NewRows, seen: npt.NDArray[np.bool_]) -> Iterator[str]:
    keys, owners, vectors = new
    order = np.argsort(rows.keys, kind="stable") if len(keys) else np.empty(0, np.int64)
    where = np.searchsorted(rows.keys, keys, sorter=order) if len(order) else np.zeros(len(keys), np.int64)
    there = np.zeros(len(keys), bool)
    inside = where < len(order)
    there[inside] = rows.keys[order[where[inside]]] == keys[inside]
    yield from (f"row of {key} is missing" for key in keys[~there].tolist())
    at = order[where[there]]
    keys, owners, vectors = keys[there], owners[there], vectors[there]
    seen[at] = True
    expected: dict[str, npt.NDArray[Any]] = {"vectors": vectors}
    if rows.halves is not None:
        expected["halves"] = rounded(vectors)
    if rows.codes is not None and rows.coder is not None:
        expected["codes"] = rows.coder.encode(vectors)
    wrong = rows.owners[at] != owners
    yield from (f"row of {key} belongs to somebody else than in the store" for key in keys[wrong].tolist())
    for name, values in expected.items():
        held = np.ascontiguousarray(rows.columns()[name].array(rows.count)[at])
        wrong = (held.view(np.uint8) != np.ascontiguousarray(values).view(np.uint8)).any(axis=1)
        yield from (f"row of {key} differs from the store in its {name}" for key in keys[wrong].tolist())


def _erased(rows: Rows) -> Iterator[str]:
    gone = np.flatnonzero(rows.keys == GONE)
    yield from (f"erased row {row} has an owner" for row in gone[rows.owners[gone] != GONE].tolist())
    for name, column in rows.columns().items():
        for start in range(0, len(gone) if name != "owners" else 0, _BLOCK):
            some = gone[start : start + _BLOCK]
            left = np.ascontiguousarray(column.array(rows.count)[some]).view(np.uint8).any(axis=1)
            yield from (f"erased row {row} is not empty in its {name}" for row in some[left].tolist())
    if len(gone) != rows.dead:
        yield f"{len(gone)} rows are erased, its head says {rows.dead}"


def _behind(rows: Rows) -> Iterator[str]:
    """Files are zeros behind the last row."""
    for name, column in rows.columns().items():
        if isinstance(column, FileColumn):
            for start in range(rows.count, column.rows(), _BLOCK):
                if column.array(column.rows())[start : start + _BLOCK].view(np.uint8).any():
                    yield f"something stands behind the last row in its {name}"
                    break
