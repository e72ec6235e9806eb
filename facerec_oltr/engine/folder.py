"""What a run folder says that it is, and whether it is the run that is asked for."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facerec_oltr.data import DataSet
from facerec_oltr.engine.checkpoint import read_json, write_json
from facerec_oltr.engine.pretrained import Pretrained
from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Experiment

FORMAT = 4


def describe(
    experiment: Experiment,
    data: DataSet,
    validation: DataSet | None = None,
    pretrained: Pretrained | None = None,
    packs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """All that decides a run, and with what it was made.

    Args:
        experiment: its choices.
        data: the training split.
        validation: the validation split, where one is measured on the way.
        pretrained: the weights that the backbone starts from, where it does.
        packs: fingerprints of the verification packs that are measured on the way, by name.
    """
    weights = {} if pretrained is None else {"weights": {"file": str(pretrained.path), "sha256": pretrained.sha256}}
    return {
        "format": FORMAT,
        "experiment": experiment.model_dump(mode="json"),
        "data": {
            "fingerprint": data.fingerprint,
            "images": len(data),
            "classes": data.classes,
            "shape": list(data.shape),
            "validation": None if validation is None else validation.fingerprint,
            "verification": dict(packs or {}),
        },
        **weights,
        "made_with": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("facerec-oltr", "torch", "numpy", "opencv-python")},
            "git_commit": _git_commit(),
        },
    }


def _git_commit() -> str | None:
    """The commit of the checkout that this package runs from; None for an installed package."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None
    try:
        git = subprocess.run(  # noqa: S603
            ["git", "-C", str(home), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return git.stdout.strip()


def claim(out: Path, description: dict[str, Any]) -> None:
    """Make the run folder, or make sure that it is a run of the same experiment on the same data.

    Raises:
        ConfigError: it is a folder of something else, or of another run: the first difference is named.
        CheckpointError: its description is damaged.
    """
    path = out / "experiment.json"
    if path.exists():
        known = read_json(path)
        for part in ("format", "experiment", "data", "weights"):
            if difference := _first_difference(known.get(part), description.get(part), part):
                raise ConfigError(f"{out}: holds another run: {difference}; choose another --out, or remove it")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists but is no run folder (no experiment.json); choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, description)


def _first_difference(there: Any, here: Any, place: str) -> str | None:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            if found := _first_difference(there.get(key), here.get(key), f"{place}.{key}"):
                return found
        return None
    return None if there == here else f"{place} is {there!r} there and {here!r} here"
