"""Options that several commands share, and the group they all join."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Argument(help="The folder to make.")]
FaceSetPath = Annotated[Path, typer.Argument(help="A face set's folder, or a .rec file.")]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT if recordio wrote it.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def commands() -> typer.Typer:
    """An empty group of commands; each module of this folder fills one."""
    return typer.Typer(pretty_exceptions_enable=False)
