"""MS1M-LT, or any other set that ``recordio build-lt`` cut: the people whom it left out, and those whom it kept.

Two search sets, which answer two questions:

    open       people never trained on, as the cut's own lists deal them: open_gallery.lst, open_probe.lst,
               open_stranger.lst, open_calibration.lst. OLTR measures so. Its shot groups are by similarity, since none
               of these people has a training image: see ``shots.similar_counts``. For that the training images are
               listed, too; they are not read for their hashes.
    trained    people who were trained on: some of their training images are enrolled, and images that the cut left
               out are searched. Its shot groups are by true counts, see ``shots.true_counts``. Strangers and
               calibration are those of `open`.

An image that the cut left out and that has the bytes of a training image is noticed if that one is enrolled.

A seeded share of the strangers can be enrolled as distractors instead, to measure against the size of the gallery.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.draw import place_of_photo
from facerec_oltr.protocols.photos import Progress, distinct, hashes, people_names, quiet, set_source
from facerec_oltr.protocols.records import Protocol, SearchSet
from facerec_oltr.protocols.templates import Int64s, TemplateList
from recordio_tools import FaceSet
from recordio_tools.left_out import read_left_out
from recordio_tools.listing import parse_line
from recordio_tools.set_writer import MANIFEST, OPEN_LISTS

_PART = {"gallery": "gallery", "probe": "mated", "stranger": "strangers", "calibration": "calibration"}


def read_ms1m_lt(
    cut: str | Path,
    source: str | Path | None = None,
    *,
    templates: int = 3,
    probes: int = 3,
    distractors: float = 0.0,
    seed: int = 0,
    with_hashes: bool = True,
    training_images: bool = True,
    progress: Progress = quiet,
) -> Protocol:
    """The protocol of a cut.

    Args:
        cut: what ``recordio build-lt`` made; its open lists lie in it.
        source: the set that it was cut from; by default where its manifest says.
        templates: most training images that are enrolled of each trained person.
        probes: most images left out of each trained person that are searched; 0 leaves `trained` out.
        distractors: the share of the strangers, at least 0 and below 1, who are enrolled as distractors instead.
        seed: of these choices; who is open, and in which part, the cut has dealt.
        with_hashes: read every image of the lists for its hash, and leave out those that occur twice.
        training_images: list them, for shot groups by similarity.
        progress: called with (images read, images in all).

    Raises:
        DataError: a list is missing or broken, names what the source does not have, or leaves a part empty.
        SourceError, FaceSetError: the cut or its source is missing, or they do not belong together.
    """
    cut = Path(cut)
    if templates < 1 or probes < 0 or not 0 <= distractors < 1 or seed < 0:
        raise DataError(
            f"templates {templates}, probes {probes}, distractors {distractors} and seed {seed} were given, expected 1 "
            "or more, 0 or more, a share from 0 to below 1, and 0 or more"
        )
    manifest = _read_manifest(cut)
    faces = FaceSet(source if source is not None else source_of(cut))
    read_left_out(cut / MANIFEST, faces)
    rng = np.random.default_rng(seed)
    parts = {part: _read_open(cut / OPEN_LISTS[role], faces) for role, part in _PART.items()}
    if distractors:
        people = np.unique(faces.labels[parts["strangers"]])
        chosen = rng.permutation(people)[: min(max(1, round(distractors * len(people))), len(people) - 1)]
        enrolled = np.isin(faces.labels[parts["strangers"]], chosen)
        parts["distractors"] = parts["strangers"][enrolled]
        parts["strangers"] = parts["strangers"][~enrolled]
    kept = _kept_places(FaceSet(cut), faces) if probes or training_images else np.empty(0, np.int64)
    if probes:
        parts |= _trained(kept, faces, templates, probes, rng)
    lists, dropped = _lists(parts, faces, with_hashes, progress)
    names = people_names(faces)
    others = {part: (part,) for part in ("strangers", "calibration")}
    more = ("distractors",) if "distractors" in lists else ()
    searches = {"open": SearchSet(("gallery",), ("mated",), **others, distractors=more)}
    if "trained_mated" in lists:
        searches["trained"] = SearchSet(("trained_gallery",), ("trained_mated",), **others, distractors=more)
    return check_protocol(
        Protocol(
            cut.resolve().name,
            set_source(faces),
            lists,
            searches,
            training_images={names[int(person["source_label"])]: int(person["kept"]) for person in manifest["kept"]},
            made_by="facerec protocol ms1m-lt",
            seed=seed,
            choices={
                "cut": str(manifest["output"]["fingerprint"]),
                "templates": templates,
                "probes": probes,
                "distractors": distractors,
                "with_hashes": with_hashes,
                **dropped,
            },
            trained_on=_trained_on(kept, faces, names) if training_images else None,
        )
    )


def source_of(cut: str | Path) -> Path:
    """Where the manifest of a cut says that the set lies that it was cut from.

    Raises:
        DataError: it has no manifest, or a broken one.
    """
    return Path(cut) / str(_read_manifest(Path(cut))["source"]["path"])


def _read_manifest(cut: Path) -> dict[str, Any]:
    place = cut / MANIFEST
    try:
        manifest = json.loads(place.read_bytes())
        roles = manifest["open_roles"]
        if "none" in roles:
            raise DataError(f"{place}: {roles['none']}; cut the set anew with fewer --identities")
        if not (manifest["source"]["path"] and manifest["output"]["fingerprint"] and manifest["kept"]):
            raise ValueError
    except OSError as error:
        raise DataError(
            f"{place}: cannot be read ({error.strerror}); expected a set made by: recordio build-lt"
        ) from None
    except (ValueError, TypeError, LookupError, RecursionError):
        raise DataError(f"{place}: is not a manifest of: recordio build-lt; give the folder that it made") from None
    return manifest


def _read_open(path: Path, faces: FaceSet) -> Int64s:
    """The positions in the source of the images that an open list names."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); cut the set anew with: recordio build-lt"
        ) from None
    keys, labels = np.empty(len(lines), np.int64), np.empty(len(lines), np.int64)
    for number, line in enumerate(lines):
        try:
            keys[number], labels[number] = int(line.partition("\t")[0]), parse_line(line).label
        except (ValueError, OverflowError):
            raise DataError(
                f"{path}: line {number + 1:,}: found {line[:60]!r}, expected: key TAB label TAB path"
            ) from None
    places = faces.find(keys)
    wrong = np.flatnonzero((places < 0) | (faces.labels[np.maximum(places, 0)] != labels))
    if len(wrong):
        line = int(wrong[0])
        raise DataError(
            f"{path}: line {line + 1:,}: {faces.path} has no image of key {keys[line]} and label {labels[line]}; cut "
            "the set anew with: recordio build-lt"
        )
    return places


def _trained(kept: Int64s, faces: FaceSet, templates: int, probes: int, rng: np.random.Generator) -> dict[str, Int64s]:
    """Training images to enrol and left-out images to search, of people who have both; nothing where nobody has."""
    is_kept = np.zeros(len(faces), bool)
    is_kept[kept] = True
    is_left = np.isin(faces.labels, np.unique(faces.labels[is_kept])) & ~is_kept
    both = np.isin(faces.labels, np.unique(faces.labels[is_left]))
    gallery = _some(np.flatnonzero(is_kept & both), faces.labels, templates, rng)
    mated = _some(np.flatnonzero(is_left), faces.labels, probes, rng)
    return {"trained_gallery": gallery, "trained_mated": mated} if len(mated) else {}


def _trained_on(kept: Int64s, faces: FaceSet, names: list[str]) -> TemplateList:
    """The training images, in the order of the source: it is read so."""
    places = np.sort(kept)
    return TemplateList.of_photos(
        [str(key) for key in faces.keys[places].tolist()], [names[label] for label in faces.labels[places].tolist()]
    )


def _kept_places(kept: FaceSet, faces: FaceSet) -> Int64s:
    """Where in the source each image of the cut is: by key in a view, by its listed path in a copy."""
    if kept.view is not None:
        places = faces.find(kept.keys)
        if (places < 0).any():
            raise DataError(f"{kept.path}: looks into another set than {faces.path}; give the set that it was cut from")
        return places
    paths = kept.paths
    if paths is None:
        raise DataError(f"{kept.path}: has no train.lst, which says where its images came from; cut the set anew")
    wanted = paths[:]
    if faces.paths is not None:
        place_of = {path: place for place, path in enumerate(faces.paths)}
        if len(place_of) < len(faces):
            raise DataError(
                f"{faces.path}: its train.lst names a path twice, so that images of the cut cannot be told apart; cut "
                "it with --view"
            )
    else:
        pairs = zip(faces.labels.tolist(), faces.keys.tolist(), strict=True)
        place_of = {f"{label}/{key}": place for place, (label, key) in enumerate(pairs)}
    if missing := [path for path in wanted if path not in place_of]:
        raise DataError(f"{kept.path}: its image {missing[0]!r} is not in {faces.path}; give the set it was cut from")
    return np.array([place_of[path] for path in wanted], np.int64)


def _some(positions: Int64s, labels: Int64s, most: int, rng: np.random.Generator) -> Int64s:
    """At most so many positions of each person, drawn."""
    if not len(positions):
        return positions
    _, owners = np.unique(labels[positions], return_inverse=True)
    return positions[place_of_photo(owners, rng) < most]


def _lists(
    parts: dict[str, Int64s], faces: FaceSet, with_hashes: bool, progress: Callable[[int, int], None]
) -> tuple[dict[str, TemplateList], dict[str, int]]:
    """The parts as lists, without images of the same bytes; and how many of these there were."""
    positions = np.concatenate(list(parts.values()))
    part_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])
    if len(again := np.flatnonzero(np.bincount(positions) > 1)):
        raise DataError(
            f"the cut's open lists name the image of key {faces.keys[again[0]]} in two parts, expected each once; cut "
            "the set anew with: recordio build-lt"
        )
    digests = hashes(faces, positions, progress) if with_hashes else [""] * len(positions)
    keep, twice, several = distinct(digests, faces.labels[positions])
    stays = np.zeros(len(positions), bool)
    stays[keep] = True
    names = list(parts)
    for gallery, mated in (("gallery", "mated"), ("trained_gallery", "trained_mated")):
        if gallery in parts:  # who has lost every enrolled image is not looked for
            enrolled = np.unique(faces.labels[positions[stays & (part_of == names.index(gallery))]])
            stays &= (part_of != names.index(mated)) | np.isin(faces.labels[positions], enrolled)
    people, keys, labels = people_names(faces), faces.keys[positions].tolist(), faces.labels[positions].tolist()
    lists = {}
    for number, name in enumerate(names):
        rows = np.flatnonzero(stays & (part_of == number)).tolist()
        lists[name] = TemplateList.of_photos(
            [str(keys[row]) for row in rows], [people[labels[row]] for row in rows], [digests[row] for row in rows]
        )
    return lists, {"same_person_twice": twice, "several_people": several}
