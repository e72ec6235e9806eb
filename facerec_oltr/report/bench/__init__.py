"""What ``facerec bench`` found as a page that people can read and decide something from.

    joined       results → one checked record of all that were made alike
    choice       which target stands in front, which lines are drawn
    tables, words   figures → tables, and sentences on what they show and do not show
    plots        figures → pictures
    photos       the worst errors
    document     all of it in order, as blocks
    blocks       what a document is made of, neither HTML nor Markdown
    html, style, markdown   blocks → bytes
    write        on the disk

Nothing is measured here, and no figure is made that the results do not hold.
"""

from facerec_oltr.report.bench.joined import Joined, is_benchmark, read_joined
from facerec_oltr.report.bench.write import write_bench_report

__all__ = ["Joined", "is_benchmark", "read_joined", "write_bench_report"]
