"""What migration 4 does to the rows that are there: of the searches that chose a threshold only the newest are kept.

Every threshold that was derived anew had kept the scores of all strangers. Released with that migration and never
edited. It names its columns itself: tables may change again.
"""

import sqlite3

from facerec_oltr.gallery.store.rows import checksum
from facerec_oltr.gallery.store.third_version import note_migration, renew_checksums

_CALIBRATIONS = (
    "id, target_fpir, threshold, achieved_fpir, measurable, strangers, searches, changes, identities, templates, "
    "policy, created, source, rule, expected_fpir, upper_fpir, maxima"
)
_NEWEST = "SELECT max(id) FROM calibrations GROUP BY source, rule, target_fpir"


def fill_fourth_version(db: sqlite3.Connection, now: str) -> None:
    """Take the maxima out of all calibrations that a newer one for the same target, rule and source has replaced."""
    if db.execute("SELECT count(*) FROM meta").fetchone()[0] == 0:
        return
    renew_checksums(db, "calibrations", _CALIBRATIONS, _CALIBRATIONS, "id", 3)  # none that is damaged becomes whole
    old = f"id NOT IN ({_NEWEST}) AND maxima <> x''"
    numbers = [number for (number,) in db.execute(f"SELECT id FROM calibrations WHERE {old}").fetchall()]  # noqa: S608
    for number in numbers:
        db.execute("UPDATE calibrations SET maxima = x'' WHERE id = ?", (number,))
        row = db.execute(f"SELECT {_CALIBRATIONS} FROM calibrations WHERE id = ?", (number,)).fetchone()  # noqa: S608
        db.execute("UPDATE calibrations SET checksum = ? WHERE id = ?", (checksum(row), number))
    note_migration(db, now, 4)
