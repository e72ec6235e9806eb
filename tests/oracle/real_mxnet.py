"""Real mxnet 1.9.1, its `recordio` module alone.

`import mxnet` fails beside any numpy since 1.24, which lacks np.bool, and wants requests. `mxnet.recordio` needs
neither: with an empty package of that name in place it loads mxnet.libinfo, mxnet.base and libmxnet.so, no more.
Whoever imports this module without mxnet gets an ImportError; nothing here is ever skipped.
"""

import importlib
import sys
from importlib.metadata import distribution
from types import ModuleType
from typing import Any

VERSION = "1.9.1"


def _load() -> Any:
    installed = distribution("mxnet")
    if installed.version != VERSION:
        raise ImportError(f"mxnet {installed.version} is installed, expected {VERSION}, whose bytes are the measure")
    if "mxnet" not in sys.modules:  # all of it may be there already: benchmarks import it
        package = ModuleType("mxnet")
        package.__path__ = [str(installed.locate_file("mxnet"))]
        sys.modules["mxnet"] = package
    return importlib.import_module("mxnet.recordio")


recordio = _load()
MXNetError: type[Exception] = importlib.import_module("mxnet.base").MXNetError
