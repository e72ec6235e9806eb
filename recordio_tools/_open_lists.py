"""The lists of the people whom a long-tailed set leaves out: `open_gallery.lst` and the others, one a part.

A line is `source key TAB source label TAB path`, as `listing.read_listing` reads it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools.faces import FaceSet
from recordio_tools.held_out import OpenSplit, deal, why_none
from recordio_tools.index import Int64s
from recordio_tools.listing import Listed, format_line
from recordio_tools.set_writer import OPEN_LISTS


def write_open_lists(
    faces: FaceSet, images: Sequence[Int64s], split: OpenSplit, seed: int, folder: Path
) -> dict[str, Any]:
    """Deal the people left out and write a list for each part; what the manifest says of it.

    Args:
        faces: The source.
        images: The positions of each of these people's images.
        split: How to deal them.
        seed: Of the deal; its stream of random numbers is not the plan's.
        folder: Where to write the lists.

    Raises:
        DamageError: An image that was to be compared is damaged.
        SourceError: A path holds a line break.
    """
    facts: dict[str, Any] = {"choices": asdict(split)}
    if split.distinct:
        images, facts["same_person_twice"], facts["several_people"] = _distinct(faces, images)
    counts = np.array([len(positions) for positions in images], np.int64)
    reason = why_none(counts)
    if reason is not None:
        return facts | {"none": reason}
    owners = np.repeat(np.arange(len(counts)), counts)
    positions = np.concatenate(images)
    roles = deal(counts, split, np.random.default_rng([seed, 1]))
    for role, name in OPEN_LISTS.items():
        dealt: Int64s = getattr(roles, role)
        (folder / name).write_bytes(_lines(faces, positions[dealt]))
        facts[role] = {"file": name, "identities": len(np.unique(owners[dealt])), "images": len(dealt)}
    return facts


def source_paths(faces: FaceSet, positions: Int64s) -> list[str]:
    """Where images came from: as the set's listing says, else `label/key`."""
    if faces.paths is not None:
        return faces.paths.of(positions)
    labels, keys = faces.labels[positions].tolist(), faces.keys[positions].tolist()
    return [f"{label}/{key}" for label, key in zip(labels, keys, strict=True)]


def list_lines(faces: FaceSet, positions: Int64s, labels: Sequence[int]) -> bytes:
    """The lines of a `train.lst` for images of `faces` under new labels."""
    if faces.paths is not None:
        return faces.paths.listed(positions, labels)
    sources = source_paths(faces, positions)
    return b"".join(format_line(Listed(path, label)) for path, label in zip(sources, labels, strict=True))


def _lines(faces: FaceSet, positions: Int64s) -> bytes:
    labels, keys = faces.labels[positions].tolist(), faces.keys[positions].tolist()
    rows = zip(keys, labels, source_paths(faces, positions), strict=True)
    return "".join(map("%d\t%d\t%s\n".__mod__, rows)).encode(errors="surrogateescape")


def _distinct(faces: FaceSet, images: Sequence[Int64s]) -> tuple[list[Int64s], int, int]:
    """Without images of the same bytes, and how many went: a person's own copies, and what several people have."""
    owner: dict[bytes, int] = {}
    shared: set[bytes] = set()
    digests = []
    for person, positions in enumerate(images):
        digests.append([hashlib.sha256(faces.encoded(position)).digest() for position in positions.tolist()])
        shared.update(digest for digest in digests[-1] if owner.setdefault(digest, person) != person)
    kept, twice, several = [], 0, 0
    for positions, own in zip(images, digests, strict=True):
        firsts = {digest: place for place, digest in reversed(list(enumerate(own)))}
        places = sorted(place for digest, place in firsts.items() if digest not in shared)
        foreign = sum(digest in shared for digest in own)
        kept.append(positions[places])
        several += foreign
        twice += len(own) - foreign - len(places)
    return kept, twice, several
