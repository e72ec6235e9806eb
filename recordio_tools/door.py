"""The door of a command line: data to stdout, words and progress to stderr, an expected error as one line.

Shared by `recordio` and `facerec`, so that both behave alike.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

import typer


def run(app: typer.Typer, *expected: type[Exception]) -> NoReturn:
    """Run `app` on the process's arguments and leave with its exit code.

    Exceptions of the `expected` types and operating-system errors (a full disk, a read-only folder) end as
    one line and code 1. Anything else is a fault of ours and keeps its traceback. An interrupt leaves with
    130.
    """
    try:
        app(standalone_mode=True)
    except BrokenPipeError:  # the reader of a pipe has left: say nothing, and keep the interpreter from saying it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (*expected, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    sys.exit(0)


def say(text: str) -> None:
    """Words for a person, on stderr."""
    typer.echo(text, err=True)


def data(value: Any) -> None:
    """A result for a machine, as JSON on stdout."""
    typer.echo(printable(json.dumps(value, indent=2, ensure_ascii=False)))


def printable(text: str) -> str:
    """`text` with the bytes of a file name that is not UTF-8 as escapes, which JSON reads back as they were."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def progress_bar(label: str, unit: Literal["things", "bytes"] = "things") -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where stderr is a terminal, fed with (done, in all); it vanishes when the work ends."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = MofNCompleteColumn() if unit == "things" else DownloadColumn(binary_units=True)
    columns = (TextColumn(label), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
