"""Pairs drawn from a face set → a verification pack: of all its people, or of those whom a training set left out.

The people are dealt into folds, and each pair is of people of one fold: so a threshold that nine folds choose has not
seen the people of the tenth, and the folds' accuracies are ten independent draws. Half of a fold's pairs show one
person, half two. A pair of one person's photos is drawn from all such pairs, of which each person offers a few at most:
who has many photos does not decide. Seeded: the same set, people and numbers give the same bytes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import PlanError
from recordio_tools.faces import FaceSet
from recordio_tools.index import Int64s
from recordio_tools.left_out import read_left_out
from recordio_tools.pack_folder import new_pack, write_pack
from recordio_tools.verification import VerificationPack, gather


@dataclass(frozen=True, slots=True)
class PairRule:
    """How many pairs to draw; LFW's own list has the same folds and pairs.

    Attributes:
        folds: Parts that share nobody.
        each: Pairs of the same person in each of them, and as many of two people.
        most: Pairs of photos that one person offers at most.
        seed: Where all chance comes from.

    Raises:
        PlanError: A number below 1, or a negative seed.
    """

    folds: int = 10
    each: int = 300
    most: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("folds", "each", "most"):
            if getattr(self, name) < 1:
                raise PlanError(f"{name}: {getattr(self, name)} was given, expected 1 or more")
        if self.seed < 0:
            raise PlanError(f"seed {self.seed} was given, expected 0 or more")


def draw_pairs(labels: Int64s, people: Int64s, rule: PairRule) -> tuple[Int64s, NDArray[np.bool_]]:
    """Draw pairs of images.

    Args:
        labels: (N,) whose image each one is.
        people: The labels of those who may be drawn.
        rule: How many.

    Returns:
        (P, 2) positions in `labels`, each fold's pairs of one person and then its pairs of two; and (P,) whether both
        are of one person.

    Raises:
        PlanError: There are too few people, or too few with two photos.
    """
    rng = np.random.default_rng(rule.seed)
    dealt = _deal(np.bincount(labels, minlength=people.max(initial=-1) + 1), people, rule, rng)
    order = np.argsort(labels, kind="stable")
    starts, ends = (np.searchsorted(labels[order], np.arange(labels.max() + 1), side) for side in ("left", "right"))
    images = {one: order[starts[one] : ends[one]] for one in people.tolist()}
    pairs: list[tuple[int, int]] = []
    for number, fold in enumerate(dealt):
        offered = [(one, other) for person in fold for one, other in _couples(images[person], rule.most, rng).tolist()]
        if len(offered) < rule.each:
            raise PlanError(
                f"fold {number} of {rule.folds} has {len(offered):,} pairs of one person's photos to draw from, "
                f"expected {rule.each:,}; ask for fewer pairs or folds, or allow more of one person"
            )
        pairs += [offered[place] for place in rng.permutation(len(offered))[: rule.each]]
        pairs += _of_two(fold, images, rule.each, number, rng)
    same = np.tile(np.repeat([True, False], rule.each), rule.folds)
    return np.array(pairs, np.int64), same


def draw_pack(
    source: str | Path,
    out: str | Path,
    rule: PairRule,
    *,
    left_out_by: str | Path | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VerificationPack:
    """Make the pack `out` of pairs drawn from the set `source`, whole or not at all; image bytes are copied.

    Args:
        source: A face set.
        out: The pack's folder; made with its parents.
        rule: How many pairs.
        left_out_by: The manifest of a set cut from `source`: only people whom it left out are drawn. None draws all.
        force: Replace `out` if this package wrote a pack there.
        progress: Called with (images written, images in all).

    Raises:
        SourceError: The set or the manifest is missing, or `out` may not be replaced.
        FaceSetError: The manifest is none, or of a set that was cut from another one.
        PlanError: As `draw_pairs`.
    """
    faces = FaceSet(source)
    people = np.unique(faces.labels) if left_out_by is None else read_left_out(Path(left_out_by), faces).labels
    pairs, same = draw_pairs(faces.labels, people, rule)
    made = gather(Path(source), (bytes(faces.encoded(place)) for place in pairs.ravel().tolist()), same)
    origin = {"fingerprint": faces.fingerprint, "people": len(people), "left_out": left_out_by is not None}
    with new_pack(Path(out), force=force) as folder:
        write_pack(made, folder, "recordio pairs draw", origin | asdict(rule), progress)
    return made


def _deal(counts: Int64s, people: Int64s, rule: PairRule, rng: np.random.Generator) -> list[list[int]]:
    """The people of each fold; those with two photos are spread evenly, and so are the others."""
    rich = people[counts[people] > 1]
    if len(rich) < rule.folds or len(people) < 2 * rule.folds:
        raise PlanError(
            f"found {len(people):,} people, {len(rich):,} of them with two photos or more, expected "
            f"{2 * rule.folds:,} and {rule.folds:,} or more for {rule.folds} folds; ask for fewer folds"
        )
    poor = np.setdiff1d(people, rich)
    shuffled = np.concatenate([rng.permutation(rich), rng.permutation(poor)])
    return [shuffled[number :: rule.folds].tolist() for number in range(rule.folds)]


def _couples(images: Int64s, most: int, rng: np.random.Generator) -> Int64s:
    """At most `most` pairs of a person's images, (n, 2), drawn without listing all pairs of somebody with thousands."""
    count = len(images)
    total = count * (count - 1) // 2
    if total <= 4 * most:
        every = np.array(list(combinations(range(count), 2)), np.int64).reshape(-1, 2)
        return images[rng.permutation(every)[:most]]
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < most:
        one, other = sorted(rng.choice(count, 2, replace=False).tolist())
        drawn[one, other] = None
    return images[np.array(list(drawn), np.int64)]


def _of_two(
    fold: list[int], images: dict[int, Int64s], each: int, number: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Pairs of photos of two people, no two pairs alike."""
    counts = np.array([len(images[person]) for person in fold])
    possible = (int(counts.sum()) ** 2 - int((counts**2).sum())) // 2
    if possible < 2 * each:  # with fewer the draw below would go on for long
        raise PlanError(
            f"fold {number} has {possible:,} pairs of two people's photos, expected {2 * each:,} to draw {each:,} "
            "from; ask for fewer pairs or folds"
        )
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < each:
        one, other = sorted(rng.choice(len(fold), 2, replace=False).tolist())
        drawn[int(rng.choice(images[fold[one]])), int(rng.choice(images[fold[other]]))] = None
    return list(drawn)
