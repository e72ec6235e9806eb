"""`facerec compare`: measured runs as one table."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import data, say


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Runs, or files, of facerec evaluate.")],
    rule: Annotated[
        str | None,
        typer.Option(
            help="The open-set rule that decides the open columns. nearest_centroid, the cosine to the nearest class "
            "mean, misses fewest or within a point of it with every method of docs/results.md; max_softmax is the "
            "OLTR paper's.",
            show_default="nearest_centroid",
        ),
    ] = None,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Bounds of each mean, by resampling the test images.")
    ] = False,
    against: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Each other method minus this one too, with bounds.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.md", help="Write the tables here too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The tables as JSON on stdout.")] = False,
) -> None:
    """Put runs side by side: a row a method, mean ± spread over seeds, the paper's figures beside ours."""
    from facerec_oltr.classification import COLUMNS, DEFAULT_RULE, read_measurements, read_replicates
    from facerec_oltr.classification import compare as compare_runs
    from recordio_tools.whole import write_whole

    measured = read_measurements(runs)
    replicates = read_replicates(runs, measured) if intervals or against is not None else None
    tables = compare_runs(measured, rule or DEFAULT_RULE, replicates, against)
    text = "\n".join(table.markdown() for table in tables)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, text.encode())
        say(f"{out}: written")
    if as_json:
        data(
            [
                {
                    "dataset": table.dataset,
                    "rule": table.rule,
                    "shots": table.shots,
                    "rows": [
                        {"method": method, "seeds": seeds}
                        | {name: vars(cell) for name, cell in zip(COLUMNS, cells, strict=True)}
                        for method, seeds, cells in table.rows
                    ],
                    "against": table.against,
                    "differences": [
                        {"method": method} | {name: vars(cell) for name, cell in zip(COLUMNS, cells, strict=True)}
                        for method, cells in table.differences
                    ],
                }
                for table in tables
            ]
        )
    else:
        typer.echo(text)
