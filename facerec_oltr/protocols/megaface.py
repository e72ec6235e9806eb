"""MegaFace-style identification: few people among very many distractors.

The lists of its devkit are JSON:

    facescrub_features_list.json                {"path": [photo, …], "id": [person, …]}
    megaface_features_list.json_1000000_1       {"path": [photo, …]}

and InsightFace's lists of what is noise in them (`facescrub_noises.txt`, `megaface_noises.txt`) have a photo a line, or
its name after a tab; # begins a comment.

MegaFace enrols one photo of the person beside the distractors, searches each of that person's other photos, and takes
each photo as the enrolled one in turn. Here a turn enrols one photo of everybody at once: turn k takes the k-th photo
of each person in a seeded order, searches the others, and has the other people (79 of FaceScrub's 80) in its gallery
beside the distractors, who are up to a million. The published figure leaves them out; so the rank-1 rate
here can be lower than that, never higher.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.draw import place_of_photo
from facerec_oltr.protocols.records import Protocol, SearchSet, Source
from facerec_oltr.protocols.templates import TemplateList

_DISTRACTORS = "distractors"


def read_megaface(
    probes: str | Path,
    distractors: str | Path,
    *,
    turns: int = 1,
    seed: int = 0,
    probe_noises: str | Path | None = None,
    distractor_noises: str | Path | None = None,
) -> Protocol:
    """Search sets turn_0, turn_1 …, which share the distractors.

    Args:
        probes: the devkit's list of photos of people who are looked for.
        distractors: its list of the others.
        turns: how many photos of each person are enrolled in turn; people with too few for a probe are left out.
        seed: of the order of each person's photos.
        probe_noises: photos to leave out of the first, by file name.
        distractor_noises: photos to leave out of the second, by path.

    Raises:
        DataError: a list is missing or broken, or leaves nobody.
    """
    probes, distractors = Path(probes), Path(distractors)
    if turns < 1 or seed < 0:
        raise DataError(f"turns {turns} and seed {seed} were given, expected 1 or more and 0 or more")
    photos, people = _read(probes, with_people=True)
    noise = _read_noises(probe_noises)
    kept = np.array([place for place, photo in enumerate(photos) if photo.rpartition("/")[2] not in noise], np.int64)
    names, owners = np.unique(np.array(people)[kept], return_inverse=True)
    enough = np.bincount(owners, minlength=len(names)) > turns
    if not enough.any():
        raise DataError(
            f"{probes}: nobody has more than {turns:,} photos, expected one to enrol in each turn and a probe"
        )
    places = place_of_photo(owners, np.random.default_rng(seed))
    lists: dict[str, TemplateList] = {}
    searches: dict[str, SearchSet] = {}
    for turn in range(turns):
        enrolled = enough[owners] & (places == turn)
        for part, mask in (("gallery", enrolled), ("mated", enough[owners] & ~enrolled)):
            chosen = kept[mask].tolist()
            lists[f"{part}_{turn}"] = TemplateList.of_photos(
                [photos[place] for place in chosen], [people[place] for place in chosen]
            )
        searches[f"turn_{turn}"] = SearchSet((f"gallery_{turn}",), (f"mated_{turn}",), distractors=(_DISTRACTORS,))
    noise = _read_noises(distractor_noises)
    others = [photo for photo in _read(distractors, with_people=False)[0] if photo not in noise]
    if not others:
        raise DataError(f"{distractors}: leaves no distractor, expected one or more")
    lists[_DISTRACTORS] = TemplateList.of_photos(others, [""] * len(others))
    files = [Path(path) for path in (probes, distractors, probe_noises, distractor_noises) if path is not None]
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files))
    return check_protocol(
        Protocol(
            "megaface",
            Source("lists", digest.hexdigest(), len(photos) + len(others), len(names)),
            lists,
            searches,
            made_by="facerec protocol megaface",
            seed=seed,
            choices={"turns": turns, "files": [path.name for path in files]},
        )
    )


def _read(path: Path, *, with_people: bool) -> tuple[list[str], list[str]]:
    """(photos, people) of a list of the devkit."""
    try:
        table = json.loads(path.read_bytes())
        photos, people = table["path"], table["id"] if with_people else []
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a features list of the devkit") from None
    except (ValueError, TypeError, LookupError, RecursionError):
        photos, people = None, None
    fits = (
        isinstance(photos, list)
        and isinstance(people, list)
        and all(isinstance(entry, str) and entry for entry in (*photos, *people))
        and len(people) == (len(photos) if with_people else 0)
    )
    if photos is None or people is None or not fits:
        shape = '{"path": [photo, …], "id": [person, …]}, as many of both' if with_people else '{"path": [photo, …]}'
        raise DataError(f"{path}: is no features list of the devkit, expected {shape}; get it again")
    if not photos or len(set(photos)) < len(photos):
        raise DataError(
            f"{path}: lists {len(photos):,} photos, {len(photos) - len(set(photos)):,} of them again, expected one or "
            "more, each once; correct the list"
        )
    return photos, people


def _read_noises(path: str | Path | None) -> set[str]:
    if path is None:
        return set()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read, expected a list of photos, one a line") from None
    return {line.split("\t")[-1 if "\t" not in line else 1].strip() for line in lines if line and line[0] != "#"} - {""}
