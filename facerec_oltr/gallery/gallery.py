"""A gallery: who is enrolled, and who a probe looks like.

The store is the truth; the index is derived from it and follows what other processes write. An identity's
score is that of its best template (max fusion), whatever the number of its templates.
"""

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from facerec_oltr.embedder import EmbedderFacts
from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index import FlatIndex
from facerec_oltr.gallery.records import (
    Calibration,
    Candidate,
    Enrolment,
    GalleryState,
    RecordedEmbedder,
)
from facerec_oltr.gallery.store import Clock, Store
from facerec_oltr.metrics.identification import Threshold

POLICY = "max"

_UNIT = 1e-3  # how far from 1 the length of a vector may be


def _now() -> datetime:
    return datetime.now(UTC)


class Gallery:
    """An open gallery, and a context manager. Get one by ``create``, ``open`` or ``open_or_create``.

    Each process and each thread opens its own.

    Attributes:
        path: its file.
        embedder: the embedder it was made with; vectors of another cannot be compared with it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.path = store.path
        self.embedder: RecordedEmbedder = store.embedder()
        self._index = FlatIndex(self.embedder.dimensions)
        self._changes = 0  # as of which state the index was filled, and up to which template
        self._last_id = 0
        self._names: dict[int, str] = {}
        self._owners: dict[int, int] = {}

    @classmethod
    def create(cls, path: str | Path, embedder: EmbedderFacts, *, clock: Clock = _now) -> Self:
        """Make an empty gallery for this embedder.

        Raises:
            GalleryError: there is a file already, or the place cannot be written.
        """
        try:
            return cls(Store.create(Path(path), embedder, clock), clock)
        except FileExistsError as error:
            raise GalleryError(f"{path}: there is a file already; open it or choose another name") from error

    @classmethod
    def open(cls, path: str | Path, embedder: EmbedderFacts | None = None, *, clock: Clock = _now) -> Self:
        """Open a gallery.

        Args:
            path: its file.
            embedder: the embedder at hand, if there is one; another than the gallery's is refused.
            clock: what to date new rows by.

        Raises:
            GalleryError: no file, not a gallery, of a newer version, damaged, locked, of another embedder.
        """
        store = Store.open(Path(path), clock)
        try:
            gallery = cls(store, clock)
            if embedder is not None:
                gallery.check_embedder(embedder)
        except BaseException:
            store.close()
            raise
        return gallery

    @classmethod
    def open_or_create(cls, path: str | Path, embedder: EmbedderFacts, *, clock: Clock = _now) -> Self:
        """Open a gallery, or make it where there is none; safe if several processes do so at once."""
        if not Path(path).exists():
            try:
                return cls(Store.create(Path(path), embedder, clock), clock)
            except FileExistsError:
                pass  # another process was faster: its gallery is as good
        return cls.open(path, embedder, clock=clock)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_embedder(self, embedder: EmbedderFacts) -> None:
        """Refuse an embedder that did not make this gallery: its vectors mean something else."""
        given = RecordedEmbedder(
            embedder.name, embedder.fingerprint, embedder.dimensions, embedder.size, embedder.source
        )
        mine = self.embedder
        if (given.fingerprint, given.dimensions) != (mine.fingerprint, mine.dimensions):
            raise GalleryError(
                f"{self.path}: made with embedder {mine}, not with {given}; "
                "give the model it was made with, or enrol into a new gallery"
            )

    def identities(self) -> dict[str, int]:
        """How many templates each name has, in order of enrolment."""
        return self._store.template_counts()

    def owner(self, photo_sha256: str) -> str | None:
        """Under which name a photo is enrolled, if it is."""
        return self._store.owner(photo_sha256)

    def enrol(
        self, name: str, vectors: npt.ArrayLike, hashes: Sequence[str], paths: Sequence[str | Path]
    ) -> list[Enrolment]:
        """Add templates to a name, all or none; when this returns they are on disk.

        A photo that is enrolled already is not enrolled again, and not moved if it stands under another name.
        A name all of whose photos stand elsewhere is not added.

        Args:
            name: any text, not empty.
            vectors: (n, D), of length 1.
            hashes: n hex SHA-256 digests of the photos' bytes.
            paths: n places where the photos were found, kept for people to read.

        Returns:
            n outcomes, in order.
        """
        if not name.strip():
            raise GalleryError("a name must not be empty")
        return self._store.enrol(_text(name), self._checked(vectors), hashes, [_text(str(p)) for p in paths])

    def remove(self, name: str) -> int:
        """Remove an identity with all its templates; returns how many these were."""
        removed = self._store.remove(name)
        if removed is None:
            near = difflib.get_close_matches(name, self.identities(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise GalleryError(f"{self.path}: nobody is enrolled as {name!r}{hint}")
        return removed

    def state(self) -> GalleryState:
        """The size now, and the counter that every enrolment and removal raises."""
        return self._store.state()

    def search(self, vectors: npt.ArrayLike, k: int = 2) -> list[list[Candidate]]:
        """The k identities most like each probe, best first; fewer where fewer are enrolled.

        Args:
            vectors: (B, D), of length 1.
            k: how many identities, at least 1.

        Returns:
            One list a probe; equal scores in order of the first template enrolled.
        """
        vectors = self._checked(vectors)
        self._refresh()
        wanted = min(k, len(set(self._owners.values())))
        answers: list[list[Candidate]] = [[] for _ in vectors]
        pending = list(range(len(vectors)))
        depth = 4 * k  # templates; deeper for the probes whose best ones belong to too few identities
        while wanted and pending:
            scores, ids = self._index.search(vectors[pending], depth)
            for b, row, templates in zip(pending, scores, ids, strict=True):
                answers[b] = self._fused(row, templates)[:k]
            pending = [b for b in pending if len(answers[b]) < wanted]
            depth *= 4
        return answers

    def save_calibration(
        self, threshold: Threshold, *, strangers: int, searches: int, state: GalleryState
    ) -> Calibration:
        """Keep a threshold with all that it holds for.

        Args:
            threshold: as ``threshold_at_fpir`` chose it.
            strangers: how many people it was chosen by.
            searches: how many of their photos were searched.
            state: the gallery's state before the first of these searches.
        """
        calibration = Calibration(
            threshold.target,
            threshold.value,
            threshold.achieved,
            threshold.measurable,
            strangers,
            searches,
            state,
            POLICY,
            self._clock().isoformat(),
        )
        self._store.save_calibration(calibration)
        return calibration

    def calibration(self, target_fpir: float | None = None) -> Calibration | None:
        """The latest calibration, or the latest for this target; None where there is none."""
        fitting = [c for c in self.calibrations() if target_fpir is None or c.target_fpir == target_fpir]
        return fitting[-1] if fitting else None

    def calibrations(self) -> list[Calibration]:
        """All calibrations, the latest last."""
        return self._store.calibrations()

    def is_stale(self, calibration: Calibration) -> bool:
        """Whether templates were added or removed since: the FPIR then differs from what was measured."""
        return calibration.state.changes != self.state().changes

    def _fused(self, scores: npt.NDArray[np.float32], templates: npt.NDArray[np.int64]) -> list[Candidate]:
        # Templates come best first, so the first of an identity is its best.
        best: dict[int, float] = {}
        for score, template in zip(scores.tolist(), templates.tolist(), strict=True):
            best.setdefault(self._owners[template], score)
        return [Candidate(self._names[identity], score) for identity, score in best.items()]

    def _refresh(self) -> None:
        """Bring the index up to what the store holds now."""
        if self._store.state().changes == self._changes:
            return
        now = self._store.load(self._last_id, self.embedder.dimensions)
        new = [t for t in now.owners if t > self._last_id]
        self._index.remove([t for t in self._owners if t not in now.owners])
        self._index.add(now.vectors, new)
        self._changes, self._names, self._owners = now.state.changes, now.names, now.owners
        self._last_id = max(new, default=self._last_id)

    def _checked(self, vectors: npt.ArrayLike) -> npt.NDArray[np.float32]:
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.embedder.dimensions:
            raise GalleryError(
                f"{self.path}: vectors have shape {vectors.shape}, expected (n, {self.embedder.dimensions})"
            )
        lengths = np.linalg.norm(vectors, axis=1)
        wrong = lengths[~(np.abs(lengths - 1) <= _UNIT)]
        if len(wrong):
            raise GalleryError(f"{self.path}: a vector has length {wrong[0]:.4g}, expected 1; normalise it")
        return vectors


def _text(raw: str) -> str:
    # A file name that is not valid UTF-8 reaches Python with surrogates, which SQLite cannot hold.
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
