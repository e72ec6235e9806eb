"""Calibrations as rows, and back to the last bit."""

import math

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import Calibration, GalleryState
from facerec_oltr.gallery.store.rows import CalibrationRow


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
