"""Whom a photo shows, and what a tool says of it. Needs the standard library alone: peers import it too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Named = dict[str, list[tuple[float, str]] | None]  # of a photo: distances and names; None where no face was found
Answers = dict[str, list[str] | None]  # of a photo: names, best first


def person_of(photo: str | Path) -> str:
    """Whom LFW says a photo shows."""
    return Path(photo).stem.rpartition("_")[0]


def in_order(named: Named) -> Answers:
    """Answers of the names of each photo, with the distance of each."""
    return {
        photo: None if rows is None else list(dict.fromkeys(name for _, name in sorted(rows)))
        for photo, rows in named.items()
    }


def judge(answers: Answers, who: dict[str, Any]) -> dict[str, int]:
    """Counts of answers; the first name is the answer, and every photo counts."""
    assert answers.keys() == {*who["mated"], *who["strangers"]}
    mated = {photo: answers[photo] for photo in who["mated"]}
    return {
        "strangers": len(who["strangers"]),
        "strangers_accepted": sum(bool(answers[photo]) for photo in who["strangers"]),
        "mated": len(mated),
        "right": sum(bool(names) and names[0] == person_of(photo) for photo, names in mated.items()),
        "wrong_name": sum(bool(names) and names[0] != person_of(photo) for photo, names in mated.items()),
        "several_names": sum(len(names or ()) > 1 for names in answers.values()),
        "no_face": sum(names is None for names in answers.values()),
    }


def traces(home: Path, vectors: Sequence[bytes]) -> int:
    """How many of these vectors are in any file of a tool, photos aside."""
    contents = [path.read_bytes() for path in home.rglob("*") if path.is_file() and path.suffix != ".jpg"]
    return sum(any(vector in content for content in contents) for vector in vectors)
