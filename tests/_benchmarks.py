"""Benchmarks are no package that is installed: what of them is tested is found beside this folder."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

_ROOT = str(Path(__file__).parents[1])


def benchmark(name: str) -> ModuleType:
    """The module of that name below benchmarks/, as ``python -m benchmarks.NAME`` would import it."""
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)
    return importlib.import_module(f"benchmarks.{name}")
