"""What goes into a gallery and comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

NO_DETECTOR = "none"  # photos are taken as aligned crops of one face


class Fusion(StrEnum):
    """How the templates of an identity make one score, before identities are ranked."""

    MAX = "max"
    """The score of the best template."""
    MEAN = "mean"
    """The mean over the templates."""
    QUALITY = "quality"
    """The mean over the templates, weighted by their quality."""


@dataclass(frozen=True)
class RecordedEmbedder:
    """The embedder that a gallery was made with, as its file tells it.

    Attributes:
        name: what a person calls it.
        fingerprint: hex digest of weights and preprocessing.
        dimensions: D.
        size: side of its aligned faces in pixels.
        source: where it can be loaded from again.
        detector: the source of the detector that finds faces for it; ``none`` for aligned crops.
        detector_fingerprint: of its weights and settings; empty for aligned crops.
    """

    name: str
    fingerprint: str
    dimensions: int
    size: int
    source: str
    detector: str = NO_DETECTOR
    detector_fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.name!r} ({self.dimensions} dimensions, fingerprint {self.fingerprint[:12]})"


@dataclass(frozen=True)
class GalleryFacts:
    """What a gallery is from its beginning to its end.

    Attributes:
        embedder: that made its vectors.
        fusion: of an identity's templates.
        created: when, ISO 8601.
        serial: random and its own, so that the index of another gallery is never taken for its.
        encrypted: whether its vectors are.
    """

    embedder: RecordedEmbedder
    fusion: Fusion
    created: str
    serial: str
    encrypted: bool


class Outcome(StrEnum):
    """What became of a photo that was to be enrolled."""

    ENROLLED = "enrolled"
    ALREADY = "already enrolled"
    OTHER = "already enrolled as somebody else"
    UNREADABLE = "unreadable"
    NO_FACE = "no face"
    SEVERAL_FACES = "several faces"
    POOR = "poor quality"
    LOOKS_LIKE = "looks like somebody else"
    OUTLIER = "unlike the person's other photos"
    NOT_THEM = "said not to be this person"


@dataclass(frozen=True, eq=False)
class NewTemplate:
    """A template to enrol.

    Attributes:
        vector: (D,) of length 1.
        photo_sha256: hex digest of the photo's bytes.
        photo_path: where it was found, for people to read.
        quality: its weight where templates are fused by quality, above 0 and at most 1.
        details: what was measured of the face, as plain JSON values.
    """

    vector: Vectors
    photo_sha256: str
    photo_path: str
    quality: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Enrolment:
    """What became of a template, and under which name its photo now stands; None for one that stands nowhere."""

    outcome: Outcome
    owner: str | None


@dataclass(frozen=True, eq=False)
class NewNegative:
    """A face of which somebody says that it is not a certain person, whatever it looks like.

    Attributes:
        vector: (D,) of length 1.
        photo_sha256: hex digest of the photo's bytes.
        photo_path: where it was found, for people to read.
        face: its number in the photo, from 1, the largest first. Photos are enrolled by their first face.
    """

    vector: Vectors
    photo_sha256: str
    photo_path: str
    face: int = 1


@dataclass(frozen=True)
class Candidate:
    """An identity that a probe was compared with.

    Attributes:
        name: of the identity.
        score: of the probe with it, fused over its templates.
        negative: the probe's cosine with a face that is said not to be this person, where that is higher than its
            cosine with the person: the probe must not be given this name. None where there is no such face.
    """

    name: str
    score: float
    negative: float | None = None

    @property
    def refused(self) -> bool:
        """Whether a face that is said not to be this person is nearer."""
        return self.negative is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {"identity": self.name, "score": self.score, "negative": self.negative}


@dataclass(frozen=True)
class GalleryState:
    """A gallery's size, and a counter that every change of its templates or names raises."""

    changes: int
    identities: int
    templates: int


@dataclass(frozen=True)
class PersonSummary:
    """An identity, without its templates.

    Attributes:
        number: its own in this gallery, never given twice.
        name: unique in the gallery.
        templates: how many.
        created: when, ISO 8601.
        expires: from which day on it is to be purged, ISO 8601; None for never.
        consent: a reference to the consent it was enrolled by; None where none was given.
        negatives: how many faces are said not to be this person.
    """

    number: int
    name: str
    templates: int
    created: str
    expires: str | None
    consent: str | None
    negatives: int = 0


@dataclass(frozen=True, eq=False)
class TemplateRecord:
    """All that is held on a template, with its vector."""

    number: int
    photo_sha256: str
    photo_path: str
    quality: float
    details: Mapping[str, Any]
    created: str
    vector: Vectors


@dataclass(frozen=True, eq=False)
class NegativeRecord:
    """All that is held on a face that is said not to be a person, with its vector."""

    number: int
    photo_sha256: str
    photo_path: str
    face: int
    created: str
    vector: Vectors


@dataclass(frozen=True, eq=False)
class PersonRecord:
    """All that is held on an identity."""

    summary: PersonSummary
    templates: tuple[TemplateRecord, ...]
    negatives: tuple[NegativeRecord, ...] = ()


@dataclass(frozen=True, eq=False)
class Block:
    """Some templates as an index needs them, in rising order of their numbers.

    Attributes:
        templates: (n,) their numbers.
        identities: (n,) to whom they belong.
        vectors: (n, D).
        qualities: (n,) float64.
    """

    templates: Ids
    identities: Ids
    vectors: Vectors
    qualities: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NegativeFaces:
    """All faces of which somebody said: this is not that person.

    Attributes:
        vectors: (Q, D) of length 1.
        identities: (Q,) whom each one is not.
    """

    vectors: Vectors
    identities: Ids


@dataclass(frozen=True, eq=False)
class Delta:
    """What has become of a gallery's templates since an earlier state.

    A template may be named that never came, or one that has gone again: whoever follows skips it.

    Attributes:
        state: now.
        last_template: the highest number given to a template so far; those above the earlier one are new.
        removed: (r,) numbers of templates that are gone.
        removed_from: (r,) to whom they belonged.
        moved: (m,) numbers of templates that belong to somebody else since.
        moved_from: (m,) to whom they belonged.
        moved_to: (m,) to whom they belong.
    """

    state: GalleryState
    last_template: int
    removed: Ids
    removed_from: Ids
    moved: Ids
    moved_from: Ids
    moved_to: Ids


@dataclass(frozen=True, eq=False)
class Cohort:
    """Faces of people who are not enrolled, kept to derive thresholds and normalise scores.

    Attributes:
        vectors: (M, D) of length 1.
        people: (M,) whose face each one is, numbers of no meaning beyond that.
        hashes: M SHA-256 digests of the photos.
    """

    vectors: Vectors
    people: Ids
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """A threshold and all that it holds for.

    Attributes:
        target_fpir: the share of strangers that may be accepted.
        threshold: accept a search if and only if its score >= threshold.
        achieved_fpir: the share of the calibration's own searches that it accepts.
        measurable: whether there were searches enough to show the target.
        strangers: how many people it was chosen by.
        searches: how many of their photos were searched.
        state: the gallery as it was searched; a threshold does not hold for another one.
        policy: how the templates of an identity are fused.
        created: when, ISO 8601.
        source: ``strangers``, or ``gallery`` where the enrolled people were searched among all others.
        rule: what makes a score of cosines, see ``facerec_oltr.scoring``.
        expected_fpir: the FPIR of people whom a threshold was not chosen by, from leaving each out in turn.
        upper_fpir: an upper bound of the true FPIR at 95 % confidence, clustered by person.
        maxima: the best score of each search, rising; of them follows how rare a score is among strangers. Empty in the
            history: a gallery keeps only those of the latest calibration of each source, rule and target.
    """

    target_fpir: float
    threshold: float
    achieved_fpir: float
    measurable: bool
    strangers: int
    searches: int
    state: GalleryState
    policy: str
    created: str
    source: Literal["strangers", "gallery"] = "strangers"
    rule: str = "cosine"
    expected_fpir: float | None = None
    upper_fpir: float | None = None
    maxima: tuple[float, ...] = ()


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit trail: that something happened, never who it was about.

    Attributes:
        number: from 1, without a gap.
        when: ISO 8601.
        action: ``create``, ``enrol``, ``erase``, ``rename``, ``merge``, ``reject``, ``unreject``, ``calibrate``,
            ``export``, ``import``, ``backup``, ``migrate``.
        facts: plain JSON values, counts above all; no name, path, hash or vector.
        chained: SHA-256 over this entry and the one before, so that none can be changed or taken out unseen.
    """

    number: int
    when: str
    action: str
    facts: Mapping[str, Any]
    chained: str


@dataclass(frozen=True)
class Receipt:
    """Proof of an erasure.

    Attributes:
        when: ISO 8601.
        identities: how many were erased.
        templates: how many templates.
        before: the gallery's state before.
        after: and after.
        traces: how often what was erased was still found, by the place that was searched; all 0.
        backups: copies of the gallery made by ``backup`` before, which still hold it.
        audit: the ``chained`` digest of the audit entry that tells of it.
        negatives: how many faces that were said not to be somebody: those of the people, and others by the same photos.
    """

    when: str
    identities: int
    templates: int
    before: GalleryState
    after: GalleryState
    traces: Mapping[str, int]
    backups: tuple[str, ...]
    audit: str
    negatives: int = 0


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a gallery: where, what, and what to do next."""

    place: str
    problem: str
    advice: str
