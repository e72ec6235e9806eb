"""Runs measured as classifiers on the splits of their own data set, closed and open, and compared in one table."""

from facerec_oltr.classification.compare import COLUMNS, Comparison, compare, read_measurements
from facerec_oltr.classification.measure import RULES, measure_run

__all__ = ["COLUMNS", "RULES", "Comparison", "compare", "measure_run", "read_measurements"]
