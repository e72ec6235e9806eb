"""The open-set protocol of LFW by Günther, Cruz, Rudd and Boult ("Toward Open-Set Face Recognition", arXiv 1705.01567).

LFW's 5,749 people are divided by how many photos they have:

    known              4 or more    610 people, enrolled with 3 photos each; their other photos are mated probes
    known unknowns     2 or 3     1,070 people: strangers, of whom a system may have heard
    unknown unknowns   1          4,069 people: strangers never seen before

and probed in four sets: C, the mated probes alone; O1, with the known unknowns; O2, with the unknown unknowns; O3,
with both.

The paper takes a threshold from the strangers that it is then judged by. Two variants are offered:

    as_published   so it is; every known unknown is a probe of O1 and O3, and nobody is left for calibration
    held_out       a seeded half of the known unknowns chooses the threshold, in every set, and is not probed; O1 and O3
                   have the other half. These are other strangers than the paper's: figures of O2 alone compare

Differences that remain: which three photos are enrolled is a seeded choice here, unless the authors' list is given, and
a photo that a method of the paper learns from is not taken out of the probes. A face detector's failures are the
measurement's part: no photo is left out here.
"""

from pathlib import Path
from typing import Literal, get_args

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.draw import place_of_photo
from facerec_oltr.protocols.photos import Photos
from facerec_oltr.protocols.records import Protocol, SearchSet
from facerec_oltr.protocols.templates import Int64s

Variant = Literal["as_published", "held_out"]
ENROLLED_PHOTOS = 3
PUBLISHED = {"known": 610, "known unknown": 1_070, "unknown unknown": 4_069}


def draw_lfw_gb(
    photos: Photos,
    *,
    variant: Variant = "held_out",
    seed: int = 0,
    enrolled_list: str | Path | None = None,
    any_people: bool = False,
) -> Protocol:
    """The four sets.

    Args:
        photos: LFW, whole.
        variant: who chooses the threshold, see the module.
        seed: of the photos that are enrolled, and of the people who choose the threshold.
        enrolled_list: a file that names the photos to enrol, a path a line (``Name/Name_0001.jpg``, the suffix may be
            left out): three of each known person.
        any_people: apply the rule to any people, whose numbers are then not LFW's.

    Raises:
        DataError: the people are not LFW's, a part is empty, or the list is wrong.
    """
    if variant not in get_args(Variant):
        raise DataError(f"the variant {variant!r} is unknown, expected one of: {', '.join(get_args(Variant))}")
    if seed < 0:
        raise DataError(f"seed: found {seed}, expected 0 or more")
    photo_rng, people_rng = (np.random.default_rng([seed, stream]) for stream in range(2))
    kept, twice, several = photos.distinct()
    counts = np.bincount(photos.owners[kept], minlength=len(photos.people))
    known, unknown, single = counts > ENROLLED_PHOTOS, (counts >= 2) & (counts <= ENROLLED_PHOTOS), counts == 1
    _check_people({"known": known, "known unknown": unknown, "unknown unknown": single}, any_people)
    owners = photos.owners[kept]
    if enrolled_list is None:
        enrols = known[owners] & (place_of_photo(owners, photo_rng) < ENROLLED_PHOTOS)
    else:
        enrols = np.isin(kept, _listed(Path(enrolled_list), photos, known))
    choosing = np.zeros(len(counts), bool)
    if variant == "held_out":
        people = np.flatnonzero(unknown)
        choosing[people_rng.permutation(people)[: len(people) // 2]] = True
    parts = {
        "gallery": enrols,
        "known": known[owners] & ~enrols,
        "known_unknowns": unknown[owners] & ~choosing[owners],
        "unknown_unknowns": single[owners],
        "calibration": choosing[owners],
    }
    lists = {part: photos.list_of(kept[mask]) for part, mask in parts.items() if mask.any()}
    strangers = {
        "C": (),
        "O1": ("known_unknowns",),
        "O2": ("unknown_unknowns",),
        "O3": ("known_unknowns", "unknown_unknowns"),
    }
    calibration = ("calibration",) if variant == "held_out" else ()
    return check_protocol(
        Protocol(
            f"lfw_gb{'' if variant == 'as_published' else f'_{variant}'}{'_other_people' if any_people else ''}",
            photos.source,
            lists,
            {name: SearchSet(("gallery",), ("known",), others, calibration) for name, others in strangers.items()},
            made_by="facerec protocol lfw-gb",
            seed=seed,
            choices={
                "variant": variant,
                "enrolled_photos": "seeded" if enrolled_list is None else Path(enrolled_list).name,
                "same_person_twice": twice,
                "several_people": several,
            },
        )
    )


def _check_people(groups: dict[str, np.ndarray], any_people: bool) -> None:
    found = {name: int(mask.sum()) for name, mask in groups.items()}
    if found != PUBLISHED and not any_people:
        raise DataError(
            f"found {_told(found)} people, expected {_told(PUBLISHED)} as in LFW; give all of LFW, or apply the rule "
            "to other people with --any-people"
        )
    for name, count in found.items():
        fewest = 2 if name == "known unknown" else 1
        if count < fewest:
            raise DataError(f"found {count} {name} people, expected {fewest} or more; give more people")


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _listed(path: Path, photos: Photos, known: np.ndarray) -> Int64s:
    """Positions of the photos that a list names: three of each known person."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected the photos to enrol, a path a line"
        ) from None
    places = {key: place for place, key in enumerate(photos.keys)}
    places |= {str(Path(key).with_suffix("")): place for key, place in places.items()}
    found: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        name = line.partition("\t")[0].strip()
        if not name:
            continue
        if name not in places:
            raise DataError(
                f"{path}: line {number:,}: found {name!r}, which is no photo of the folder; correct the line"
            )
        if places[name] in found:
            raise DataError(
                f"{path}: line {number:,}: names what line {found[places[name]]:,} names, expected each once"
            )
        found[places[name]] = number
    chosen = np.array(sorted(found), np.int64)
    counts = np.bincount(photos.owners[chosen], minlength=len(known)) if len(chosen) else np.zeros(len(known), np.int64)
    wrong = np.flatnonzero(counts != np.where(known, ENROLLED_PHOTOS, 0))
    if len(wrong):
        person = int(wrong[0])
        expected = ENROLLED_PHOTOS if known[person] else f"none, as there are fewer than {ENROLLED_PHOTOS + 1} photos"
        raise DataError(
            f"{path}: names {counts[person]} photos of {photos.people[person]!r}, expected {expected}; correct the list"
        )
    return chosen
