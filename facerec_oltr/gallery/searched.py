"""Who is enrolled in a gallery, and who a probe looks like: the store is read, and the index follows it."""

import difflib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index import Derived
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import (
    Block,
    Candidate,
    GalleryState,
    Ids,
    NegativeFaces,
    PersonRecord,
    PersonSummary,
    RecordedEmbedder,
    Vectors,
)
from facerec_oltr.gallery.refusing import Found, Search, search_respecting
from facerec_oltr.metrics.impostors import ImpostorSearches, leave_one_out

_UNIT = 1e-3  # how far from 1 the length of a vector may be


class Searched:
    """The part of a gallery that only reads: who is enrolled, and who a probe looks like.

    Args:
        store: the truth.
        index: the kind of index; by size if None.

    Attributes:
        path: its file.
        facts: what it is from its beginning to its end, its embedder above all.
    """

    def __init__(self, store: Store, index: str | None) -> None:
        self._store = store
        self.path = store.path
        self.facts = facts = store.facts()
        # Where vectors are encrypted they are not written down in clear beside it either.
        folder = None if facts.encrypted else self.path.with_name(f"{self.path.name}.index")
        self._derived = Derived(facts.serial, facts.embedder.dimensions, facts.fusion, folder, index)
        self._negatives: tuple[int, NegativeFaces] | None = None

    @property
    def store(self) -> Store:
        """The truth, for what is asked of it alone."""
        return self._store

    @property
    def index(self) -> Derived:
        """The search index, for what is asked of it alone."""
        return self._derived

    @property
    def embedder(self) -> RecordedEmbedder:
        """The embedder it was made with; vectors of another cannot be compared with its own."""
        return self.facts.embedder

    def people(self) -> list[PersonSummary]:
        """Everybody, in order of enrolment."""
        return self._store.people()

    def identities(self) -> dict[str, int]:
        """How many templates each name has, in order of enrolment."""
        return {person.name: person.templates for person in self.people()}

    def person(self, name: str) -> PersonRecord:
        """All that is held on somebody.

        Raises:
            GalleryError: nobody is enrolled under this name.
        """
        record = self._store.person(plain_text(name))
        if record is None:
            raise self._nobody(name)
        return record

    def owner(self, photo_sha256: str) -> str | None:
        """Under which name a photo is enrolled, if it is."""
        return self._store.owner(photo_sha256)

    def owners(self, photos: Sequence[str]) -> dict[str, str]:
        """Under which names photos are enrolled, by digest, in one query; those that are not are left out."""
        return self._store.owners(photos)

    def negatives(self) -> NegativeFaces:
        """All faces that are said not to be somebody."""
        counter = self._store.negative_changes()
        if self._negatives is None or self._negatives[0] != counter:
            # The counter is older than the faces at most: then they are read once more at the next search.
            self._negatives = counter, self._store.negatives()
        return self._negatives[1]

    def state(self) -> GalleryState:
        """The size now, and the counter that every change raises."""
        return self._store.state()

    def search(self, vectors: npt.ArrayLike, k: int = 2) -> list[list[Candidate]]:
        """The k identities most like each probe, best first; fewer where fewer are enrolled.

        Args:
            vectors: (B, D), of length 1.
            k: how many identities, at least 1.

        Returns:
            One list a probe; equal scores in order of enrolment. Candidates that a negative refuses stand among them,
            marked, and do not count as one of the k.
        """

        def cosines(probes: Vectors, depth: int) -> tuple[Vectors, Vectors, Ids]:
            scores, identities = self.search_numbers(probes, depth)
            return scores, scores, identities

        return self.search_by(cosines, vectors, k)

    def search_by(self, search: Search, vectors: npt.ArrayLike, k: int) -> list[list[Candidate]]:
        """The same by another search, whose scores need not be cosines."""
        return self._named(search_respecting(search, self._checked(vectors), k, self.negatives()))

    def _named(self, answers: Sequence[Found]) -> list[list[Candidate]]:
        names = self._store.names(list({identity for found in answers for identity, _, _ in found}))
        return [
            # Somebody who was erased between the search and the question for names is not a candidate any more.
            [Candidate(names[identity], score, negative) for identity, score, negative in found if identity in names]
            for found in answers
        ]

    def search_numbers(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """Scores (B, K) and numbers of identities (B, K), best first, as though there were no negatives."""
        vectors = self._checked(vectors)
        self._derived.refresh(self._store)
        return self._derived.search(vectors, k)

    def search_others(self, vectors: Vectors, identities: Ids) -> ImpostorSearches:
        """Templates (n, D) of enrolled people (n,), each searched among everybody else.

        Raises:
            MetricError: the templates are of fewer than two people.
        """
        return leave_one_out(
            vectors,
            identities,
            search=lambda vectors: self.search_numbers(vectors, 2),
            rng=np.random.default_rng(),  # nothing is left to draw
        )

    def drawn(self, most_people: int, seed: int = 0) -> Block:
        """The templates of so many people at most, drawn by a seed."""
        people = self.people()
        drawn = np.random.default_rng(seed).permutation(len(people))[:most_people]
        return self._store.templates_of([people[i].number for i in drawn])

    def _nobody(self, name: str) -> GalleryError:
        near = difflib.get_close_matches(name, self.identities(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return GalleryError(f"{self.path}: nobody is enrolled as {name!r}{hint}")

    def _checked(self, vectors: npt.ArrayLike | Sequence[Vectors]) -> Vectors:
        vectors = np.asarray(vectors, np.float32)
        dimensions = self.embedder.dimensions
        if vectors.size == 0 and len(vectors) == 0:
            return vectors.reshape(0, dimensions)
        if vectors.ndim != 2 or vectors.shape[1] != dimensions:
            raise GalleryError(f"{self.path}: vectors have shape {vectors.shape}, expected (n, {dimensions})")
        lengths = np.linalg.norm(vectors, axis=1)
        wrong = lengths[~(np.abs(lengths - 1) <= _UNIT)]
        if len(wrong):
            raise GalleryError(f"{self.path}: a vector has length {wrong[0]:.4g}, expected 1; normalise it")
        return vectors


def plain_text(raw: str) -> str:
    """A name or path as a store can hold it."""
    # A file name that is not valid UTF-8 reaches Python with surrogates, which SQLite cannot hold.
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
