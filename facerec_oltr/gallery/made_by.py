"""What a gallery remembers of its embedder and detector, and that no others are used with it."""

from pathlib import Path

from facerec_oltr.embedder import EmbedderFacts
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import (
    NO_DETECTOR,
    RecordedEmbedder,
)


def recorded(embedder: EmbedderFacts) -> RecordedEmbedder:
    """What a gallery remembers of an embedder, and of the detector that finds faces for it where there is one."""
    if isinstance(embedder, RecordedEmbedder):
        return embedder
    return RecordedEmbedder(
        embedder.name,
        embedder.fingerprint,
        embedder.dimensions,
        embedder.size,
        embedder.source,
        getattr(embedder, "detector_source", NO_DETECTOR),
        getattr(embedder, "detector_fingerprint", ""),
    )


def check_made_by(path: Path, mine: RecordedEmbedder, embedder: EmbedderFacts) -> None:
    """Refuse an embedder or a detector that did not make a gallery: its vectors mean something else."""
    given = recorded(embedder)
    if (given.fingerprint, given.dimensions) != (mine.fingerprint, mine.dimensions):
        raise GalleryError(
            f"{path}: made with embedder {mine}, not with {given}; "
            "give the model it was made with, or enrol into a new gallery"
        )
    if given.detector_fingerprint != mine.detector_fingerprint:
        raise GalleryError(
            f"{path}: its faces were found by {_detector(mine)}, not by {_detector(given)}, and lie "
            "differently in their crops; give the detector it was made with, or enrol into a new gallery"
        )


def _detector(embedder: RecordedEmbedder) -> str:
    return "nobody: photos were aligned crops" if embedder.detector == NO_DETECTOR else embedder.detector
