"""What is kept beside the people: calibrations, the cohort that they are chosen by, the audit trail."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import (
    AuditEntry,
    Calibration,
    Cohort,
)
from facerec_oltr.gallery.store.calibrations import calibration_of, calibration_row, forget_maxima, latest_calibration
from facerec_oltr.gallery.store.open_file import OpenFile
from facerec_oltr.gallery.store.rows import (
    AuditRow,
    CalibrationRow,
    CohortRow,
    insert,
    read,
)


class Kept(OpenFile):
    """What ``protocols.Store`` promises of these."""

    def save_calibration(self, calibration: Calibration) -> None:  # noqa: D102
        with self._writing() as writing:
            number = writing.db.execute("SELECT coalesce(max(id), 0) + 1 FROM calibrations").fetchone()[0]
            row = calibration_row(number, calibration)
            forget_maxima(writing.db, row)
            insert(writing.db, [row])
            facts = {"target_fpir": row.target_fpir, "strangers": row.strangers, "searches": row.searches}
            writing.note("calibrate", facts)

    def calibration(self, target_fpir: float | None = None, rule: str | None = None) -> Calibration | None:  # noqa: D102
        with self._reading() as db:
            return latest_calibration(db, target_fpir, rule)

    def calibrations(self) -> list[Calibration]:  # noqa: D102
        with self._reading() as db:
            return [calibration_of(row) for row in read(db, CalibrationRow, "ORDER BY id")]

    def save_cohort(self, cohort: Cohort) -> None:  # noqa: D102
        vectors = np.asarray(cohort.vectors, np.float32)
        if vectors.shape != (len(cohort.hashes), self._dimensions) or len(cohort.people) != len(cohort.hashes):
            raise GalleryError(
                f"{self._path}: a cohort of {vectors.shape} vectors, {len(cohort.people)} people and "
                f"{len(cohort.hashes)} hashes; expected as many of each, of {self._dimensions} dimensions"
            )
        faces = zip(cohort.people, vectors, cohort.hashes, strict=True)
        with self._writing() as writing:
            writing.db.execute("DELETE FROM cohort")
            insert(
                writing.db,
                [CohortRow(n, int(p), self._form.write(v, photo), photo) for n, (p, v, photo) in enumerate(faces, 1)],
            )
            writing.note("calibrate", {"cohort": len(vectors)})
        self._empty_journal_if_idle()

    def cohort(self) -> Cohort | None:  # noqa: D102
        with self._reading() as db:
            rows = list(read(db, CohortRow, "ORDER BY id"))
            if not rows:
                return None
            vectors = self._vectors(rows)
        return Cohort(vectors, np.array([r.person for r in rows], np.int64), tuple(r.photo_sha256 for r in rows))

    def audit(self) -> list[AuditEntry]:  # noqa: D102
        with self._reading() as db:
            rows = list(read(db, AuditRow, "ORDER BY id"))
        return [AuditEntry(row.id, row.moment, row.action, json.loads(row.facts), row.chained) for row in rows]

    def note(self, action: str, facts: Mapping[str, Any]) -> AuditEntry:  # noqa: D102
        with self._writing() as writing:
            return writing.note(action, facts)
