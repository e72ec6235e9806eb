"""What is wrong with a view: its manifest and `view.npz`, the set that it looks into, and the records that it uses."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools.checks.contents import Teller, check_ids, check_images, check_whole_labels
from recordio_tools.checks.findings import Findings
from recordio_tools.checks.groups import labels_of_groups
from recordio_tools.checks.loose_index import LooseIndex, positions_of, read_loosely
from recordio_tools.checks.neighbours import read_property_of
from recordio_tools.checks.open_lists import check_open_lists
from recordio_tools.checks.repeats import check_repeats
from recordio_tools.checks.roles import Roles
from recordio_tools.checks.survey import Survey
from recordio_tools.checks.used import survey_used
from recordio_tools.errors import RecordIOError
from recordio_tools.faces import FaceSet
from recordio_tools.index import Int64s
from recordio_tools.set_writer import MANIFEST, VIEW
from recordio_tools.view import Entry, View, read_arrays, read_entry


@dataclass(frozen=True, slots=True)
class Used:
    """What a view uses.

    Attributes:
        rec: The record file that it looks into; `view.npz` where the view does not say which.
        size: Bytes of that file.
        records: The whole records that it uses.
        images: Those of them that are images.
        identities: The classes of the view that have one.
    """

    rec: Path
    size: int
    records: int = 0
    images: int = 0
    identities: int = 0


def check_view(
    folder: Path,
    out: Findings,
    *,
    decode: bool,
    duplicates: bool,
    workers: int | None,
    progress: Callable[[int, int], None],
) -> Used:
    """Look for all that can be wrong with the view in `folder`; as `verify`.

    The records that it does not use are not read, but for the sample that the fingerprint of their set takes.
    """
    entry, arrays = _read_own(folder, out)
    said = read_property_of(folder / VIEW, out, needed=True)
    if arrays is not None and said is not None:
        keys, counts = arrays
        if said.classes != len(counts):
            text = f"found {said.classes:,} classes claimed, expected {len(counts):,} as {folder / VIEW} has"
            out.add("view.classes", said.path, text)
        if said.images is not None and said.images != len(keys):
            text = f"found {said.images:,} images claimed, expected {len(keys):,} as {folder / VIEW} has"
            out.add("property.images", said.path, text)
    there = entry is not None and _is_there(entry, out)
    faces = _open_source(folder, entry, out) if entry is not None and there else None
    used, kept = Used(folder / VIEW, (folder / VIEW).stat().st_size), np.empty(0, np.int64)
    if entry is not None and there and arrays is not None:
        view = View(*arrays, entry.records)
        found = _survey(view, faces, out, decode=decode, digests=duplicates, workers=workers, progress=progress)
        size = None if said is None else (said.height, said.width)
        used, kept = _check_records(found, view, size, out, duplicates=duplicates)
    manifest = _manifest(folder)
    if entry is not None and arrays is not None:
        _check_output(View(*arrays, entry.records), manifest, folder, out)
    check_open_lists(folder, manifest.get("open_roles"), faces, arrays[0] if arrays else kept, kept, out)
    return used


def _read_own(folder: Path, out: Findings) -> tuple[Entry | None, tuple[Int64s, Int64s] | None]:
    """(what the manifest says, the arrays), each None where it cannot be read."""
    entry = arrays = None
    path = folder / VIEW
    data = path.read_bytes()
    with _noted(out, "view.manifest", folder / MANIFEST):
        entry = read_entry(folder)
    if entry is not None:
        with _noted(out, "view.changed", path):
            entry.check(data, path)
    with _noted(out, "view.arrays", path):
        arrays = read_arrays(data, path)
    return entry, arrays


def _is_there(entry: Entry, out: Findings) -> bool:
    with _noted(out, "view.no-records", entry.manifest):
        entry.check_there()
        return True
    return False


def _open_source(folder: Path, entry: Entry, out: Findings) -> FaceSet | None:
    """The set that the view looks into, None where it cannot be opened; whether it is still the one."""
    faces, records = None, entry.records
    with _noted(out, "view.source", records.path):
        faces = FaceSet(records.path)
    if faces is None:
        return None
    before = out.counts["view.other-records"]
    with _noted(out, "view.other-records", folder):
        records.check(faces.reader, folder)
    if out.counts["view.other-records"] == before and faces.fingerprint != records.fingerprint:
        text = (
            f"{records.path} has another fingerprint than when the view was made; put the old set back, or make the "
            "view anew with: recordio build-lt"
        )
        out.add("view.other-records", folder, text)
    return faces


@contextmanager
def _noted(out: Findings, code: str, file: Path) -> Iterator[None]:
    """An expected error of the block becomes a finding."""
    try:
        yield
    except RecordIOError as error:
        out.add(code, file, str(error).removeprefix(f"{file}: "))


def _survey(
    view: View,
    faces: FaceSet | None,
    out: Findings,
    *,
    decode: bool,
    digests: bool,
    workers: int | None,
    progress: Callable[[int, int], None],
) -> Survey:
    """What is known of the records of the view's images; keys of no image become findings."""
    rec = view.records.path
    if faces is None:
        index = read_loosely(rec.with_suffix(".idx"), rec, out, needed=True)
    else:
        known = faces.reader.index
        index = LooseIndex(known.path, known.keys, known.offsets, np.argsort(known.offsets, kind="stable"))
    by_key = np.argsort(index.keys, kind="stable")
    places = positions_of(view.keys, index.keys[by_key])
    missing = places < 0
    if faces is not None:
        missing |= faces.find(view.keys) < 0
    text = "found no image of this key, expected one; make the view anew with: recordio build-lt"
    absent = view.keys[missing & bool(len(index.keys))]  # that there is no index is told already
    out.add_each("view.key", absent, len(absent), lambda key: out.add("view.key", rec, text, key=key))
    entries = by_key[places[~missing]]
    return survey_used(rec, index, entries, out, decode=decode, digests=digests, workers=workers, progress=progress)


def _check_records(
    found: Survey, view: View, size: tuple[int, int] | None, out: Findings, *, duplicates: bool
) -> tuple[Used, Int64s]:
    """What the records hold; what is used of them, and the labels there of the people whom the view keeps."""
    table, tell = found.table, Teller(found, out)
    ranges = table.range_like()
    roles = Roles(None, None, ranges, np.empty(0, np.int64), table.with_header() & ~ranges)
    text = "found an identity's range of keys, expected an image; make the view anew with: recordio build-lt"
    tell.records("view.key", np.flatnonzero(ranges), text)
    check_images(tell, roles, size)
    check_ids(tell, roles)
    classes, kept = _check_labels(tell, roles, view)
    if duplicates:
        check_repeats(tell, roles)
    images = int(np.count_nonzero(roles.images))
    return Used(found.rec, len(found.buffer), len(table), images, len(classes)), kept


def _check_labels(tell: Teller, roles: Roles, view: View) -> tuple[Int64s, Int64s]:
    """One class of the view is one label of the records, and no other class is; (classes, the label of each)."""
    rows = np.flatnonzero(check_whole_labels(tell, roles))
    by_key = np.argsort(view.keys, kind="stable")
    mine = by_key[positions_of(tell.found.keys[rows], view.keys[by_key])]
    own, labels = view.labels[mine], tell.found.table.labels[rows, 0].astype(np.int64)
    classes, most = labels_of_groups(own, labels)
    expected = most[np.searchsorted(classes, own)] if len(classes) else own
    odd = np.flatnonzero(labels != expected)
    at = np.zeros(len(tell.found.table), np.int64)
    at[rows] = np.arange(len(rows))
    tell.records(
        "labels.mixed",
        rows[odd],
        lambda place: (
            f"found label {labels[at[place]]:,}, expected {expected[at[place]]:,} as most images of class "
            f"{own[at[place]]:,} of the view have"
        ),
    )
    order = np.argsort(most, kind="stable")
    again = np.sort(order[1:][np.diff(most[order]) == 0])
    firsts = rows[np.unique(own, return_index=True)[1]]
    tell.records(
        "labels.shared",
        firsts[again],
        lambda place: (
            f"found label {labels[at[place]]:,}, which another class of the view than {own[at[place]]:,} has too, "
            "expected one label a class"
        ),
    )
    return classes, most


def _manifest(folder: Path) -> dict[str, Any]:
    """The whole manifest; empty where there is none to read, which is told already."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _check_output(view: View, manifest: dict[str, Any], folder: Path, out: Findings) -> None:
    """What the manifest says that the view holds."""
    wanted = {"fingerprint": view.fingerprint, "images": len(view.keys), "identities": len(view.counts)}
    said = manifest.get("output")
    for name, value in wanted.items():
        found = said.get(name) if isinstance(said, dict) else None
        if found != value:
            text = f"found {name} {str(found)[:80]} under output, expected {value} as {folder / VIEW} has"
            out.add("view.output", folder / MANIFEST, text)
