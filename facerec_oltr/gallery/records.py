"""What goes into a gallery and comes out of it."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class RecordedEmbedder:
    """The embedder that a gallery was made with, as its file tells it."""

    name: str
    fingerprint: str
    dimensions: int
    size: int
    source: str

    def __str__(self) -> str:
        return f"{self.name!r} ({self.dimensions} dimensions, fingerprint {self.fingerprint[:12]})"


class Outcome(StrEnum):
    """What became of a photo that was to be enrolled."""

    ENROLLED = "enrolled"
    ALREADY = "already enrolled"
    OTHER = "already enrolled as somebody else"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Enrolment:
    """What became of a template, and under which name its photo now stands."""

    outcome: Outcome
    owner: str


@dataclass(frozen=True)
class Candidate:
    """An identity that a probe was compared with, and the score of its best template."""

    name: str
    score: float


@dataclass(frozen=True)
class GalleryState:
    """A gallery's size, and a counter that every enrolment and removal raises."""

    changes: int
    identities: int
    templates: int


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
