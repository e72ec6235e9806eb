"""Evaluations of one or many training splits as a readable report.

    results      evaluation files → checked dictionaries
    summary      results → figures with their spread, differences to the floor, DET curves   (numpy only)
    sentences    figures in words: what is clear and what is not
    tables, text summary → Markdown
    det_plot, examples_plot   summary, decisions → PNG
    write        all of it, beside each other on the disk

What is measured is decided in ``facerec_oltr.evaluate``; here it is only averaged, worded and drawn.
"""

from facerec_oltr.report.results import read_evaluations
from facerec_oltr.report.rules import RuleFigures, compare_rules, rule_notes
from facerec_oltr.report.summary import Summary, summarise
from facerec_oltr.report.write import Picture, write_report

__all__ = [
    "Picture",
    "RuleFigures",
    "Summary",
    "compare_rules",
    "read_evaluations",
    "rule_notes",
    "summarise",
    "write_report",
]
