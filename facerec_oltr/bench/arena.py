"""Where a protocol's probes are searched: one gallery, and all lists that are searched in it.

Search sets that share gallery, distractors and calibration people, as O1, O2 and O3 of LFW do, share an arena: each
probe is searched once, and each rule fitted once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facerec_oltr.bench.features import Features
from facerec_oltr.bench.templates import Templates, pooled
from facerec_oltr.metrics.sweep import nested_order
from facerec_oltr.protocols import Protocol, SearchSet, TemplateList

Ints = npt.NDArray[np.int64]


class Enrolled(NamedTuple):
    """The names of the lists that make a gallery, and of those whose people choose the threshold."""

    gallery: tuple[str, ...]
    distractors: tuple[str, ...]
    calibration: tuple[str, ...]

    @classmethod
    def of(cls, searches: SearchSet) -> "Enrolled":
        """Those of a search set."""
        return cls(searches.gallery, searches.distractors, searches.calibration)


@dataclass(frozen=True, eq=False)
class Arena:
    """A gallery and its probes; identities are numbered from 0, and a gallery of size n holds the first n.

    Attributes:
        gallery: templates of the enrolled people, then of distractors.
        owners: (T,) the number of each template's identity; -1 of a failed one.
        identities: N, those with a template that did not fail.
        looked_for: how many of them are people of the gallery part; these come first.
        probes: templates of all lists that are searched.
        own: (P,) the number of each probe's identity; -1 of one who is not enrolled, or whose templates all failed.
        people: (P,) a number for whom each probe shows.
        rows: of the probes of each list.
        excluded: (E, 2) probes and templates that share an image.
    """

    gallery: Templates
    owners: Ints
    identities: int
    looked_for: int
    probes: Templates
    own: Ints
    people: Ints
    rows: Mapping[str, Ints]
    excluded: Ints

    def part(self, names: Sequence[str]) -> Ints:
        """The rows of some lists' probes, one list after another."""
        return np.concatenate([np.empty(0, np.int64), *(self.rows[name] for name in names)])

    def templates_of(self, identity: int) -> Ints:
        """The rows of an identity's templates."""
        return np.flatnonzero(self.owners == identity)


def arenas_of(protocol: Protocol) -> dict[Enrolled, list[str]]:
    """The search sets of each arena."""
    found: dict[Enrolled, list[str]] = {}
    for name, searches in protocol.searches.items():
        found.setdefault(Enrolled.of(searches), []).append(name)
    return found


def enter(protocol: Protocol, enrolled: Enrolled, searches: Sequence[str], features: Features, seed: int) -> Arena:
    """Pool all templates of an arena.

    Args:
        protocol: whose lists.
        enrolled: who is in the gallery, and who chooses the threshold.
        searches: the search sets to be searched there.
        features: of the images.
        seed: of the order in which identities join galleries of rising size.

    Raises:
        DataError: the vectors of a template cancel out.
    """
    looked_for = protocol.joined(enrolled.gallery)
    gallery = pooled(TemplateList.join([looked_for, protocol.joined(enrolled.distractors)]), features)
    sets = [protocol.searches[name] for name in searches]
    names = list(dict.fromkeys(name for one in sets for part in (one.mated, one.strangers) for name in part))
    names += [name for name in enrolled.calibration if name not in names]
    probes = pooled(protocol.joined(tuple(names)), features)
    ends = np.cumsum([0, *(len(protocol.lists[name]) for name in names)])
    order, owners = _numbered(gallery, len(looked_for), seed)
    number = {name: place for place, name in enumerate(order)}
    people, _ = _by_first(probes.listed.people)
    return Arena(
        gallery,
        owners,
        len(order),
        len(set(looked_for.people) & set(order)),
        probes,
        np.array([number.get(person, -1) for person in probes.listed.people], np.int64),
        people,
        {name: np.arange(ends[place], ends[place + 1]) for place, name in enumerate(names)},
        _shared_images(probes.listed, gallery.listed),
    )


def _numbered(gallery: Templates, looked_for: int, seed: int) -> tuple[list[str], Ints]:
    """The identities in the order in which galleries take them, and the place there of each template's."""
    # A distractor of whom nobody says who it is is somebody of its own; no person is called so, for a name has no tab.
    which, names = _by_first([person or f"\t{row}" for row, person in enumerate(gallery.listed.people)])
    alive = np.zeros(len(names), bool)
    alive[which[~gallery.failed]] = True
    first = np.unique(which[:looked_for])
    order = nested_order(np.flatnonzero(alive), seed, first[alive[first]])
    place = np.full(len(names), -1)
    place[order] = np.arange(len(order))
    return [names[number] for number in order.tolist()], np.where(gallery.failed, -1, place[which])


def _by_first(names: Sequence[str]) -> tuple[Ints, list[str]]:
    """A number for each name (n,), from 0 in the order in which they first come, and the names in this order."""
    numbers: dict[str, int] = {}
    which = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
    return which, list(numbers)


def _shared_images(probes: TemplateList, gallery: TemplateList) -> Ints:
    """Pairs (E, 2) of a probe and a template with an image in common, by content or by key."""
    digests = set(probes.sha256) & set(gallery.sha256) - {""}
    keys = set(probes.images) & set(gallery.images)
    if not digests and not keys:  # as in every protocol that has been checked
        return np.empty((0, 2), np.int64)
    having: dict[str, list[int]] = {}
    for template, key, digest in zip(gallery.owners.tolist(), gallery.images, gallery.sha256, strict=True):
        for mark in {f"k{key}"} | ({f"d{digest}"} if digest else set()):
            having.setdefault(mark, []).append(template)
    pairs = {
        (probe, template)
        for probe, key, digest in zip(probes.owners.tolist(), probes.images, probes.sha256, strict=True)
        for mark in (f"k{key}", f"d{digest}" if digest else "")
        for template in having.get(mark, ())
    }
    return np.array(sorted(pairs), np.int64)
