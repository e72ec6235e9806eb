"""The door of a command line: data to stdout, words and progress to stderr, an expected error as one line.

Shared by `recordio` and `facerec`, so that both behave alike.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TypeVar

import typer

T = TypeVar("T")


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


def table(facts: dict[str, Any]) -> None:
    """A result for a person, a line each on stdout."""
    width = max(map(len, facts))
    typer.echo("\n".join(f"{name.replace('_', ' '):{width}}  {_shown(value)}" for name, value in facts.items()))


def printable(text: str) -> str:
    """`text` with the bytes of a file name that is not UTF-8 as escapes, which JSON reads back as they were."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def progress_bar(label: str, unit: Literal["things", "bytes"] = "things") -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where stderr is a terminal, fed with (done, in all); it vanishes when the work ends.

    It shows the rate of the last half minute and the time left.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    counts = (MofNCompleteColumn(), Rate()) if unit == "things" else (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn(label), BarColumn(), *counts, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def counted(items: Sequence[T], progress: Callable[[int, int], None]) -> Iterator[T]:
    """The items one by one, told to `progress` as they are taken."""
    for done, item in enumerate(items):
        progress(done, len(items))
        yield item
    progress(len(items), len(items))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return " x ".join(map(_shown, value))
    if isinstance(value, float | int):
        return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    return "unknown" if value is None else printable(str(value))
