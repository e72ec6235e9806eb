"""Several face sets → one, their identities numbered one set after another or joined by name.

Records are copied as they are; only their class number and key change.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recordio_tools._copying import RecordCopier
from recordio_tools.build import copy_records, size_of
from recordio_tools.errors import LimitError, SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.header import FLOAT32_EXACT
from recordio_tools.index import Int64s
from recordio_tools.set_writer import SetWriter, new_set, write_manifest
from recordio_tools.whole import refuse_source


class _Run(NamedTuple):
    """Images of one source that follow one another in the merged set."""

    source: int
    labels: Int64s
    positions: Int64s


def merge_sets(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    by_name: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Make the set `out` of all images of `sources`, whole or not at all, and return its manifest.

    People of different sets are different people: the identities that have images keep their order and are
    numbered on, set after set; the manifest's `first_label` says where each set's begin. With `by_name`,
    identities of the same name in `train.lst` are one person, numbered in the order of first appearance. The same
    sources give the same bytes.

    Where a source has no `train.lst`, an image's line is `source label/source key`.

    Args:
        sources: Two or more sets' folders or record files; their paths go into the manifest as they were given.
        out: The set's folder; made with its parents.
        by_name: Join people of the same name. Every source needs a `train.lst` with a name for every identity,
            and no name twice.
        force: Replace `out` if this package wrote it.
        progress: Called with (images copied, images in all).

    Raises:
        SourceError: There are not two different sources, one is missing, their sizes differ, names are missing or
            stand twice, or `out` may not be replaced.
        LimitError: Together they are more than float32 can number.
        DamageError, FaceSetError, IndexMismatchError: A source is broken.
    """
    out = Path(out)
    if len(sources) < 2:
        raise SourceError(f"{len(sources)} set was given, expected two or more to merge")
    sets = [FaceSet(source) for source in sources]
    for faces in sets:
        refuse_source(out, faces.reader.path, faces.path)
    size = _common_size(sets)
    labels = _by_name(sets) if by_name else _one_after_another(sets)
    people = 1 + max(int(new.max()) for new in labels)
    images = sum(map(len, sets))
    if images + people + 1 > FLOAT32_EXACT:
        raise LimitError(
            f"{images:,} images of {people:,} identities were given, expected fewer than {FLOAT32_EXACT:,} together, "
            "above which float32 rounds keys; merge fewer sets"
        )
    with new_set(out, force=force) as folder:
        with SetWriter(folder, *size) as copy:
            copiers = [RecordCopier(faces) for faces in sets]
            for run in _runs(sets, labels):
                copy_records(
                    copiers[run.source], copy, run.labels, run.positions, lambda done, _: progress(done, images)
                )
        manifest = _manifest(sets, sources, labels, by_name, FaceSet(folder))
        write_manifest(folder, manifest)
    return manifest


def _common_size(sets: list[FaceSet]) -> tuple[int, int]:
    """(height, width) of all sets; each set is looked at once and none twice."""
    seen: set[Path] = set()
    sizes: list[tuple[int, int]] = []
    for faces in sets:
        place = faces.reader.path.resolve()
        if place in seen:
            raise SourceError(f"{faces.path}: is given twice, expected different sets")
        seen.add(place)
        if not len(faces):
            raise SourceError(f"{faces.path}: no image in it, expected some to merge")
        sizes.append(size_of(faces))
        if sizes[-1] != sizes[0]:
            raise SourceError(
                f"{faces.path}: its images are {_shown(sizes[-1])} (height x width) but those of {sets[0].path} "
                f"are {_shown(sizes[0])}; sets of one size can be merged"
            )
    return sizes[0]


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _one_after_another(sets: list[FaceSet]) -> list[Int64s]:
    """For each set the new number of each of its labels, -1 for a label without images."""
    numbered, following = [], 0
    for faces in sets:
        present = faces.counts() > 0
        numbered.append(np.where(present, following + np.cumsum(present) - 1, -1))
        following += int(present.sum())
    return numbered


def _by_name(sets: list[FaceSet]) -> list[Int64s]:
    """The same, with one number for a name in whichever set it stands."""
    numbers: dict[str, int] = {}
    numbered = []
    for faces in sets:
        if faces.names is None:
            raise SourceError(f"{faces.path}: has no train.lst, expected one with the names by which to join people")
        new = np.full(faces.classes, -1, np.int64)
        own: dict[str, int] = {}
        for label in np.flatnonzero(faces.counts()).tolist():
            name = faces.names[label]
            if not name:
                raise SourceError(f"{faces.path}: identity {label} has no name in train.lst, so it cannot be joined")
            if name in own:
                raise SourceError(
                    f"{faces.path}: identities {own[name]} and {label} are both named {name!r}, expected a name for one"
                )
            own[name] = label
            new[label] = numbers.setdefault(name, len(numbers))
        numbered.append(new)
    return numbered


def _runs(sets: list[FaceSet], labels: list[Int64s]) -> list[_Run]:
    """All images by new label, then by set, then in their set's order, in stretches of one set."""
    new = np.concatenate([numbers[faces.labels] for faces, numbers in zip(sets, labels, strict=True)])
    counts = [len(faces) for faces in sets]
    source = np.repeat(np.arange(len(sets)), counts)
    position = np.concatenate([np.arange(count) for count in counts])
    order = np.argsort(new, kind="stable")  # stable: the sets stand one after another
    borders = np.flatnonzero(np.diff(source[order])) + 1
    return [_Run(int(source[part[0]]), new[part], position[part]) for part in np.split(order, borders)]


def _manifest(
    sets: list[FaceSet], given: Sequence[str | Path], labels: list[Int64s], by_name: bool, made: FaceSet
) -> dict[str, Any]:
    merged = []
    for faces, path, numbers in zip(sets, given, labels, strict=True):
        merged.append(
            {
                "path": str(path),
                "fingerprint": faces.fingerprint,
                "images": len(faces),
                "identities": int((numbers >= 0).sum()),
                "first_label": None if by_name else int(numbers[numbers >= 0][0]),
            }
        )
    people = int((made.counts() > 0).sum())
    return {
        "format": "recordio_tools face set",
        "version": 1,
        "made_by": "recordio merge",
        "by_name": by_name,
        "joined": sum(source["identities"] for source in merged) - people,
        "merged_from": merged,
        "output": {"fingerprint": made.fingerprint, "images": len(made), "identities": people},
    }
