"""Calibrations as rows, and back to the last bit.

They are the history of a gallery's thresholds, and small: the scores of all strangers' searches, of which a false-alarm
rate is told, are kept with the latest of each source, rule and target alone, which is the one that is decided by.
"""

import math
import sqlite3

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import Calibration, GalleryState
from facerec_oltr.gallery.store.rows import CalibrationRow, read, read_one, replace


def calibration_row(number: int, c: Calibration) -> CalibrationRow:
    """A calibration as its row; a number that is none (NaN), which SQLite cannot hold, is an error."""
    row = CalibrationRow(
        number,
        float(c.target_fpir),
        float(c.threshold),
        float(c.achieved_fpir),
        int(c.measurable),
        int(c.strangers),
        int(c.searches),
        c.state.changes,
        c.state.identities,
        c.state.templates,
        str(c.policy),
        c.created,
        c.source,
        c.rule,
        None if c.expected_fpir is None else float(c.expected_fpir),
        None if c.upper_fpir is None else float(c.upper_fpir),
        np.asarray(c.maxima, "<f8").tobytes(),
    )
    if any(isinstance(value, float) and math.isnan(value) for value in row):
        raise GalleryError("a calibration with a number that is none (NaN)")
    return row


def calibration_of(row: CalibrationRow) -> Calibration:
    """The calibration in a row."""
    return Calibration(
        target_fpir=row.target_fpir,
        threshold=row.threshold,
        achieved_fpir=row.achieved_fpir,
        measurable=bool(row.measurable),
        strangers=row.strangers,
        searches=row.searches,
        state=GalleryState(row.changes, row.identities, row.templates),
        policy=row.policy,
        created=row.created,
        source="gallery" if row.source == "gallery" else "strangers",
        rule=row.rule,
        expected_fpir=row.expected_fpir,
        upper_fpir=row.upper_fpir,
        maxima=tuple(np.frombuffer(row.maxima, "<f8").tolist()),
    )


def forget_maxima(db: sqlite3.Connection, newer: CalibrationRow) -> None:
    """Take them out of those that a newer calibration replaces."""
    tail = "WHERE source = ? AND rule = ? AND target_fpir = ? AND maxima <> x''"
    for row in list(read(db, CalibrationRow, tail, (newer.source, newer.rule, newer.target_fpir))):
        replace(db, row._replace(maxima=b""))


def latest_calibration(db: sqlite3.Connection, target_fpir: float | None, rule: str | None) -> Calibration | None:
    """The latest, or the latest for this target and rule; the rows of others are not read."""
    wanted = {"target_fpir": target_fpir, "rule": rule}
    given = {column: value for column, value in wanted.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in given) or "TRUE"
    row = read_one(db, CalibrationRow, f"WHERE {where} ORDER BY id DESC", tuple(given.values()))
    return None if row is None else calibration_of(row)
