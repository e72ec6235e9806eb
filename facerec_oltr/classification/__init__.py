"""Runs measured as classifiers on the splits of their own data set, closed and open, and compared in one table."""

from facerec_oltr.classification.compare import DEFAULT_RULE, compare, read_measurements
from facerec_oltr.classification.measure import RULES, Measured, measure_run
from facerec_oltr.classification.replicates import FEWEST, Replicates, read_replicates, write_measurement
from facerec_oltr.classification.table import COLUMNS, Comparison

__all__ = [
    "COLUMNS",
    "DEFAULT_RULE",
    "FEWEST",
    "RULES",
    "Comparison",
    "Measured",
    "Replicates",
    "compare",
    "measure_run",
    "read_measurements",
    "read_replicates",
    "write_measurement",
]
