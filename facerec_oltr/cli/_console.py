"""Where tables go: stdout, wide enough to be read where it is no terminal."""

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 120  # rich's own 80 would break figures into pieces


def console() -> Console:
    """A console on stdout."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
