"""The oracle's tests run in an environment of their own, by `make oracle` only; pyproject keeps `make test` out."""

import numpy as np
import pytest

from tests.oracle import real_mxnet


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", r"ignore:tostring\(\) is deprecated:DeprecationWarning")  # mxnet's pack


def pytest_report_header() -> str:
    return f"oracle: {real_mxnet.recordio.__file__}, mxnet {real_mxnet.VERSION}, numpy {np.__version__}"
