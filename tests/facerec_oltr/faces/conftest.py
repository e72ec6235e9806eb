"""Where the real networks and photos lie, for tests that skip without."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_models() -> Path:
    """YuNet, SCRFD and MobileFaceNet: FACEREC_DATA, by default ../shared/data beside the project."""
    data = Path(os.environ.get("FACEREC_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
    if not (data / "models").is_dir():
        pytest.skip(f"no real networks in {data}; set FACEREC_DATA")
    return data / "models"
