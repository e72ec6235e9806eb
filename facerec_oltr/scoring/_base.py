"""What a score rule is fitted on and asked, with the checks and the blocks that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from facerec_oltr.components import Config
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.identification import fuse_templates

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

BLOCK = 1 << 22  # numbers of a block: 32 MB as float64
_FEW_TIMES = 8  # so many identities a candidate are multiplied as fast as one is picked out


class GalleryFaces(NamedTuple):
    """The enrolled templates.

    Attributes:
        vectors: (T, D) of length 1.
        identities: (T,) whose each one is, any numbers.
        fusion: how the cosines that a rule will be given were fused over an identity's templates.
        rows: (T,) where each template stands in `vectors`, which then may hold others, too; None for their order. So a
            million templates are neither sorted nor cut out as a copy.
    """

    vectors: npt.NDArray[np.floating]
    identities: Ids
    fusion: Literal["max", "mean"] = "max"
    rows: Ids | None = None


class CohortFaces(NamedTuple):
    """Faces of people who are not enrolled and choose no threshold.

    Attributes:
        vectors: (M, D) of length 1.
        people: (M,) whose each one is, any numbers.
    """

    vectors: npt.NDArray[np.floating]
    people: Ids


class Negatives(NamedTuple):
    """Faces of which somebody said: this is not that person.

    Attributes:
        vectors: (Q, D) of length 1.
        identities: (Q,) whom each one is not.
    """

    vectors: npt.NDArray[np.floating]
    identities: Ids


Faces = TypeVar("Faces", CohortFaces, Negatives)


@dataclass(frozen=True, eq=False)
class OrderedGallery:
    """A gallery's templates in order of their identities, read some at a time and never copied whole.

    Attributes:
        vectors: as they were given.
        rows: (T,) of them, identity after identity.
        identities: (N,) rising.
        starts: (N + 1,) where each one's templates begin in `rows`, and T.
        fusion: as ``GalleryFaces`` has it.
    """

    vectors: npt.NDArray[np.floating]
    rows: Ids
    identities: Ids
    starts: Ids
    fusion: Literal["max", "mean"]

    @property
    def dimensions(self) -> int:
        """D."""
        return self.vectors.shape[1]

    @property
    def numbers(self) -> Ids:
        """(T,) the identity of each template."""
        return np.repeat(self.identities, np.diff(self.starts))

    def blocks(self, faces: int) -> Iterator[tuple[slice, slice]]:
        """Places of some identities, and of their templates in `rows`: about ``BLOCK`` numbers of `faces` a template.

        Never less than an identity.
        """
        first = 0
        while first < len(self.identities):
            wanted = self.starts[first] + max(1, BLOCK // max(1, faces))
            last = max(first + 1, int(np.searchsorted(self.starts, wanted, side="right")) - 1)
            yield slice(first, last), slice(int(self.starts[first]), int(self.starts[last]))
            first = last

    def unit_means(self) -> npt.NDArray[np.float32]:
        """(N, D) as ``unit_means``, in float32: in double precision a million are four gigabytes."""
        means = np.empty((len(self.identities), self.dimensions), np.float32)
        for some, part in self.blocks(self.dimensions):
            numbers = np.repeat(np.arange(some.start, some.stop), np.diff(self.starts[some.start : some.stop + 1]))
            means[some] = unit_means(self.vectors[self.rows[part]], numbers)
        return means


@dataclass(frozen=True, eq=False)
class FittedRule(ABC):
    """A rule that knows its gallery.

    Attributes:
        identities: (N,) the enrolled identities, rising.
        dimensions: D.
    """

    identities: Ids
    dimensions: int

    def scores(self, probes: npt.ArrayLike, candidates: npt.ArrayLike, cosines: npt.ArrayLike) -> Floats:
        """How likely each candidate is the person in the probe.

        They are rounded to float32, as a gallery's cosines are: a probe searched alone gets the score that it gets
        among others, though products of other shapes end in other last digits.

        Args:
            probes: (B, D) of length 1.
            candidates: (B, K) numbers of identities, or (K,) the same for all.
            cosines: (B, K) fused over an identity's templates; -inf where there was nothing to compare.

        Returns:
            (B, K) float64, higher = more likely; -inf where the cosine is.

        Raises:
            DataError: sizes that do not fit, NaN, a candidate who is not enrolled, fewer candidates than `depth`.
        """
        probes, cosines = np.asarray(probes), np.asarray(cosines)
        if probes.ndim != 2 or probes.shape[1] != self.dimensions or cosines.ndim != 2 or len(cosines) != len(probes):
            raise DataError(
                f"found probes of shape {probes.shape} and cosines of shape {cosines.shape}, expected "
                f"(B, {self.dimensions}) and (B, K)"
            )
        if cosines.shape[1] < (depth := min(self.depth, len(self.identities))):
            raise DataError(
                f"found {cosines.shape[1]} candidates of {len(self.identities):,} identities; this rule looks at the "
                f"best {depth}: search deeper"
            )
        candidates = np.broadcast_to(np.asarray(candidates, np.int64), cosines.shape)
        result = np.empty(cosines.shape)
        for rows in blocks(len(probes), max(self.width, cosines.shape[1])):
            part = cosines[rows].astype(np.float64)
            if not (part < np.inf).all():
                raise DataError("cosines hold NaN or infinity; look for damaged vectors")
            there = part > -np.inf
            made = self._scores(probes[rows].astype(np.float64), self._columns(candidates[rows], there), part)
            result[rows] = np.where(there, made, -np.inf)
        if np.isnan(result).any():
            raise DataError("scores come out as NaN; look for damaged vectors of probes")
        return result.astype(np.float32).astype(np.float64)

    @property
    def depth(self) -> int:
        """How many of the best candidates a probe must come with; where fewer are enrolled, all of them."""
        return 1

    @property
    def width(self) -> int:
        """How many numbers one probe takes, apart from its candidates; it sets the size of a block."""
        return self.dimensions

    @abstractmethod
    def _scores(self, probes: Floats, columns: Ids, cosines: Floats) -> Floats:
        """Score one block of probes (b, D) against candidates in places (b, K) of `identities`, -inf allowed."""

    def _columns(self, candidates: Ids, there: npt.NDArray[np.bool_]) -> Ids:
        columns = np.minimum(np.searchsorted(self.identities, candidates), len(self.identities) - 1)
        strange = there & (self.identities[columns] != candidates)
        if strange.any():
            raise DataError(
                f"candidate {candidates[strange][0]} is none of the {len(self.identities):,} identities that the rule "
                "was fitted on; fit it again, the gallery has changed"
            )
        return columns


class ScoreRule(Config, ABC):
    """The choices of a rule."""

    @property
    def needs_cohort(self) -> bool:
        """Whether it reads the cohort where one is given: the people in it then cannot choose the threshold."""
        return False

    @property
    def depth(self) -> int:
        """How many of the best candidates a probe must come with, see ``FittedRule.depth``."""
        return 1

    @abstractmethod
    def fit(
        self, gallery: GalleryFaces, cohort: CohortFaces | None = None, negatives: Negatives | None = None
    ) -> FittedRule:
        """Fit the rule to a gallery as it is now; after a change of the gallery it must be fitted again.

        Raises:
            DataError: an empty gallery, sizes that do not fit, damaged vectors, or a cohort that is missing or too
                small for the rule.
        """


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices over `rows` rows of `width` numbers each, about `BLOCK` numbers at a time and never less than a row."""
    step = max(1, BLOCK // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def checked_faces(faces: Faces, what: str) -> Faces:
    """The faces in order of their numbers, if they are finite vectors (n, D) with a number each."""
    vectors, numbers = np.asarray(faces[0]), np.asarray(faces[1], np.int64)
    if vectors.ndim != 2 or numbers.shape != (len(vectors),) or not vectors.size:
        raise DataError(
            f"{what}: found vectors of shape {vectors.shape} and numbers of shape {numbers.shape}, expected (n, D) and "
            "(n,), at least one"
        )
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if broken.size:
        raise DataError(f"{what}: {len(broken):,} vectors hold NaN or infinity, the first is row {broken[0]:,}")
    order = np.argsort(numbers, kind="stable")
    return type(faces)(vectors[order], numbers[order], *faces[2:])


def ordered(gallery: GalleryFaces) -> OrderedGallery:
    """The gallery in order, if its vectors are finite, with a number each."""
    vectors, numbers = np.asarray(gallery.vectors), np.asarray(gallery.identities, np.int64)
    count = len(vectors) if gallery.rows is None else len(gallery.rows)
    if vectors.ndim != 2 or numbers.shape != (count,) or not vectors.size or not count:
        raise DataError(
            f"gallery: found vectors of shape {vectors.shape} and numbers of shape {numbers.shape}, expected (n, D) "
            "and (n,), at least one"
        )
    order = np.argsort(numbers, kind="stable")
    rows = order if gallery.rows is None else np.asarray(gallery.rows, np.int64)[order]
    wrong = [rows[some][~np.isfinite(vectors[rows[some]]).all(axis=1)] for some in blocks(count, vectors.shape[1])]
    if len(broken := np.sort(np.concatenate(wrong))):
        raise DataError(f"gallery: {len(broken):,} vectors hold NaN or infinity, the first is row {broken[0]:,}")
    identities, starts = np.unique(numbers[order], return_index=True)
    return OrderedGallery(vectors, rows, identities, np.append(starts, count), gallery.fusion)


def checked_cohort(cohort: CohortFaces | None, gallery: OrderedGallery, rule: str, least_people: int) -> CohortFaces:
    """The cohort in order, if it has enough people and vectors of the gallery's size."""
    people = 0 if cohort is None else len(np.unique(cohort.people))
    if cohort is None or people < least_people:
        raise DataError(
            f"{rule}: found a cohort of {people:,} people, expected {least_people:,} or more; "
            "take cosine, or bring more people who are not enrolled"
        )
    cohort = checked_faces(cohort, "cohort")
    if cohort.vectors.shape[1] != gallery.dimensions:
        raise DataError(f"found a cohort of {cohort.vectors.shape[1]} dimensions for a gallery of {gallery.dimensions}")
    return cohort


def unit_means(vectors: npt.NDArray[np.floating], numbers: Ids) -> Floats:
    """(G, D) the mean vector of each number in turn, of length 1; `numbers` must rise. A mean of zeros stays."""
    _, starts = np.unique(numbers, return_index=True)
    sums = np.add.reduceat(vectors.astype(np.float64), starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return sums / np.where(lengths > 0, lengths, 1)


def candidate_cosines(probes: Floats, means: npt.NDArray[np.float32], columns: Ids) -> Floats:
    """Dot products (b, K) of probes (b, D) with the means of their candidates, in double precision.

    With all identities where these are not many more than the candidates, else with the candidates alone.
    """
    result = np.empty(columns.shape)
    if len(means) <= _FEW_TIMES * columns.shape[1]:
        for some in blocks(len(means), max(means.shape[1], len(probes))):
            at, inside = columns - some.start, (columns >= some.start) & (columns < some.stop)
            products = probes @ means[some].astype(np.float64).T
            found = np.take_along_axis(products, np.clip(at, 0, products.shape[1] - 1), axis=1)
            np.copyto(result, found, where=inside)
        return result
    for row in blocks(len(probes), columns.shape[1] * means.shape[1]):
        chosen = means[columns[row]].astype(np.float64)
        result[row] = np.matmul(chosen, probes[row][:, :, None])[:, :, 0]
    return result


def fused_blocks(
    gallery: OrderedGallery, faces: npt.NDArray[np.floating]
) -> Iterator[tuple[slice, npt.NDArray[np.floating]]]:
    """Cosines (n, F) of some identities with all faces (F, D), fused as the gallery's are, block after block.

    The slice says which of the gallery's identities they are.
    """
    numbers = gallery.numbers
    for some, part in gallery.blocks(max(len(faces), gallery.dimensions)):
        fused, _ = fuse_templates(faces @ gallery.vectors[gallery.rows[part]].T, numbers[part], gallery.fusion)
        yield some, fused.T
