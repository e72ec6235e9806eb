"""The command line `recordio`: a thin door to the library. Data to stdout, words and progress to stderr."""

import os
from typing import NoReturn

import typer

from recordio_tools import door
from recordio_tools.cli import checking, converting, looking, making, pairs
from recordio_tools.errors import RecordIOError

app = typer.Typer(
    name="recordio",
    help="Reads, writes, checks and cuts MXNet RecordIO face sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (making, looking, checking, converting, pairs):
    app.add_typer(group.app)


def main() -> NoReturn:
    """Run the command line on the process's arguments; expected errors are one line and exit code 1."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # a broken image is told once, by us
    door.run(app, RecordIOError)
