"""What must hold within one search set, and within one pair set."""

from collections.abc import Iterable

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.records import PARTS, PairSet, Protocol, SearchSet
from facerec_oltr.protocols.templates import TemplateList


class SearchCheck:
    """The parts of one search set, against each other."""

    def __init__(self, protocol: Protocol, name: str, searches: SearchSet, subject: str) -> None:
        self._where = f"{subject}: search set {name}"
        self._parts = {part: protocol.part(name, part) for part in PARTS}
        self._lists = searches
        self._people = {part: set(templates.people) for part, templates in self._parts.items()}

    def run(self) -> None:
        for part in ("gallery", "mated"):
            if not len(self._parts[part]):
                raise DataError(f"{self._where}: its part {part} is empty, expected one template or more")
        for part in PARTS:
            if len(set(getattr(self._lists, part))) < len(getattr(self._lists, part)):
                raise DataError(f"{self._where}: its part {part} names a list twice, expected each once")
            if part != "distractors" and "" in self._people[part]:
                name = self._parts[part].names[self._parts[part].people.index("")]
                raise DataError(
                    f"{self._where}: template {name!r} of {part} says no person, expected one; distractors alone "
                    "need none"
                )
        if astray := self._people["mated"] - self._people["gallery"]:
            raise DataError(
                f"{self._where}: {min(astray)!r} is searched as mated but is not in the gallery{_more(astray)}; "
                "enrol them, or move their probes to strangers"
            )
        self._apart("strangers", "gallery", "a stranger is not enrolled; take that person's probes into mated")
        self._apart("strangers", "distractors", "a stranger is not enrolled; leave that person out of one of them")
        self._apart("distractors", "gallery", "nobody looks for a distractor; leave that person out of one of them")
        for part in ("gallery", "strangers", "distractors"):
            self._apart("calibration", part, "the threshold is chosen by other people than it is tested on; deal anew")
        self._check_self_matches()

    def _apart(self, part: str, other: str, advice: str) -> None:
        if both := (self._people[part] & self._people[other]) - {""}:
            raise DataError(
                f"{self._where}: {min(both)!r} is in {part} and in {other}{_more(both)}, expected different people: "
                f"{advice}"
            )

    def _check_self_matches(self) -> None:
        enrolled = {image for part in ("gallery", "distractors") for image in self._parts[part].images}
        for part in ("mated", "strangers", "calibration"):
            if both := enrolled.intersection(self._parts[part].images):
                raise DataError(
                    f"{self._where}: image {min(both)!r} is enrolled and is searched in {part} too{_more(both)}, "
                    "expected one of both, since it would find itself; leave it out of one list"
                )
        if both := set(self._parts["gallery"].images).intersection(self._parts["distractors"].images):
            raise DataError(
                f"{self._where}: image {min(both)!r} is in the gallery and a distractor too{_more(both)}, expected one "
                "of both; leave it out of one list"
            )


def check_pairs(pairs: PairSet, templates: TemplateList, where: str) -> None:
    P, T = len(pairs), len(templates)
    if not P or not pairs.same.any() or pairs.same.all():
        raise DataError(
            f"{where}: found {int(pairs.same.sum()):,} pairs of the same person and {int((~pairs.same).sum()):,} of "
            "two, expected one or more of each"
        )
    if len(set(templates.names)) < T:
        raise DataError(f"{where}: template {first_repeat(templates.names)!r} is in two of its lists, expected one")
    places = np.concatenate([pairs.first, pairs.second])
    assert places.min() >= 0 and places.max() < T, "the reader has found every template"

    def tell(wrong: np.ndarray, text: str) -> None:
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            one, other = templates.names[pairs.first[at]], templates.names[pairs.second[at]]
            raise DataError(f"{where}: pair {at + 1:,} ({one!r}, {other!r}): {text}")

    tell(pairs.first == pairs.second, "compares a template with itself, expected two templates; remove it")
    _, people = np.unique(np.array(templates.people), return_inverse=True)
    known = np.array([person != "" for person in templates.people], bool)
    both_known = known[pairs.first] & known[pairs.second]
    are_same = people[pairs.first] == people[pairs.second]
    tell(
        both_known & are_same & ~pairs.same,
        "is marked as two people, but both are of one; correct the mark or the person",
    )
    tell(
        both_known & ~are_same & pairs.same,
        "is marked as the same person, but they are two; correct the mark or the person",
    )
    steps = np.diff(pairs.folds, prepend=0)
    tell((steps < 0) | (steps > 1) | (pairs.folds < 0), "expected folds numbered 0, 1, 2 …, the pairs of each together")


def first_repeat(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))


def _more(found: set[str]) -> str:
    return f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
