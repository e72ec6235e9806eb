"""Processes as a user starts them, and how long they take. Needs the standard library alone: peers import it too."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_WORKERS = "benchmarks.gallery_peers.workers"


def start(words: Sequence[Any]) -> "subprocess.Popen[str]":
    """Start a process and keep what it says."""
    return subprocess.Popen(
        [str(word) for word in words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=_ROOT
    )


def worker(python: Path | str, *words: Any) -> "subprocess.Popen[str]":
    """Start a script of workers.py in a peer's environment."""
    return start([python, "-m", _WORKERS, *words])


def finish(process: "subprocess.Popen[str]") -> str:
    """What it said; it must have gone well."""
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args}: exit code {process.returncode}\n{err[-2000:]}")
    return out


def seconds(step: Callable[[], Any]) -> tuple[float, Any]:
    """How long a step takes, and what it gives."""
    begun = time.perf_counter()
    result = step()
    return time.perf_counter() - begun, result
