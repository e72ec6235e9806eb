"""`facerec compare`: measured runs as one table."""

from pathlib import Path
from typing import Annotated

import typer

from recordio_tools.door import data, say


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Runs, or files, of facerec evaluate.")],
    rule: Annotated[str, typer.Option(help="The open-set rule that decides the open columns.")] = "max_softmax",
    out: Annotated[Path | None, typer.Option(metavar="FILE.md", help="Write the tables here too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The tables as JSON on stdout.")] = False,
) -> None:
    """Put runs side by side: a row a method, mean ± spread over seeds, the paper's figures beside ours."""
    from facerec_oltr.classification import COLUMNS, read_measurements
    from facerec_oltr.classification import compare as compare_runs
    from recordio_tools.whole import write_whole

    tables = compare_runs(read_measurements(runs), rule)
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
                }
                for table in tables
            ]
        )
    else:
        typer.echo(text)
