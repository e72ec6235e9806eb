"""A folder of finished stages, from which runs that would train the same stage take it instead.

    CACHE/KEY.safetensors    the network at the end of a stage; in its metadata what the stage rests on, its lines of
                             metrics.jsonl, and a SHA-256 of both

KEY is the SHA-256 of all that decides a stage's bytes: the data, the seed, the stage's place and its choices and those
of the stages that it starts from, backbone, schedule, augmentation, what is measured on the way, the weights that the
backbone starts from, the device and how it computes, the versions of the libraries, and the source of this package.
What does not decide them is left out: the method's and the data set's names, the stages that come after. A choice too
many costs a training, one too few a wrong result; so all of the source counts, and where the data lie. Data are known
by their fingerprints, as a run folder knows them: of images in files that is their names and labels, so where images
are replaced under their old names the cache must go.

Only stages that others follow are taken: of a run's last stage every epoch is looked at for the best weights. But it is
put here too, for another run's earlier one. Two processes that train the same stage at once both do; whoever is first
puts it here, and the other leaves it.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from facerec_oltr.engine.checkpoint import load_weights, read_facts, save_weights
from facerec_oltr.engine.model import State
from facerec_oltr.errors import CheckpointError, ConfigError
from facerec_oltr.experiment import Experiment
from facerec_oltr.ranks import rank_and_ranks

_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("torch", "numpy", "opencv-python", "safetensors")
_NOT_DECIDING = ("method", "dataset", "embedding", "stages")


class FinishedStage(NamedTuple):
    """A stage as it ended.

    Attributes:
        weights: of the whole network.
        lines: of metrics.jsonl, one an epoch.
    """

    weights: State
    lines: tuple[str, ...]


@dataclass(frozen=True)
class StageCache:
    """A folder of finished stages, for one run.

    Attributes:
        folder: where they lie; made when the first is put there.
        experiment: of the run.
        facts: what describes the run, see folder.py: the fingerprints in it are of the data that it trains on.
        device: where it computes.
    """

    folder: Path
    experiment: Experiment
    facts: Mapping[str, Any]
    device: torch.device

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"{self.folder}: is a file, expected a folder of finished stages; choose another folder")

    def rests_on(self, index: int) -> str:
        """All that decides the bytes of the stage at that place, as JSON with sorted keys."""
        stages = self.experiment.stages
        return json.dumps(
            {
                "experiment": self.experiment.model_dump(mode="json", exclude=set(_NOT_DECIDING)),
                "stages": [(place, stages[place].model_dump(mode="json")) for place in self.chain(index)],
                "data": self.facts["data"],
                "weights": self.facts.get("weights"),
                "computed_by": _machine(self.device),
                "source": source_digest(_PACKAGE, _PACKAGE.parent / "recordio_tools"),
            },
            sort_keys=True,
        )

    def chain(self, index: int) -> list[int]:
        """The places of a stage and of those that it starts from, the last first."""
        stages = self.experiment.stages
        places = {stage.name: place for place, stage in enumerate(stages)}
        chain = [index]
        while (source := stages[chain[-1]].start_from) is not None:
            chain.append(places[source])
        return chain

    def path(self, index: int) -> Path:
        """Where the stage at that place of the experiment lies, or would."""
        return self.folder / f"{hashlib.sha256(self.rests_on(index).encode()).hexdigest()}.safetensors"

    def take(self, index: int) -> FinishedStage | None:
        """The stage at that place, if it is here.

        Raises:
            CheckpointError: it is here and damaged.
        """
        path = self.path(index)
        if not path.exists():
            return None
        try:
            facts, weights = read_facts(path), load_weights(path)
            lines = tuple(json.loads(facts["lines"]))
            whole = facts["rests_on"] == self.rests_on(index) and facts["sha256"] == _digest(weights, lines)
        except (CheckpointError, KeyError, ValueError, TypeError, OSError) as error:
            raise CheckpointError(f"{path}: is damaged ({str(error).splitlines()[0]})") from None
        if not whole:
            raise CheckpointError(f"{path}: is damaged (its SHA-256 is not that of what it holds)")
        return FinishedStage(weights, lines)

    def put(self, index: int, stage: FinishedStage) -> None:
        """Keep the stage at that place; one that is here already stays."""
        path = self.path(index)
        if path.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "rests_on": self.rests_on(index),
            "lines": json.dumps(stage.lines),
            "sha256": _digest(stage.weights, stage.lines),
        }
        save_weights(path, stage.weights, facts)


@cache
def source_digest(*folders: Path) -> str:
    """SHA-256 of every Python file under the folders, with its place."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{folder.name}/{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _machine(device: torch.device) -> dict[str, Any]:
    """What sums depend on, besides what is summed: libraries, threads, processes and the kind of the device."""
    on_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "instructions": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "ranks": rank_and_ranks()[1],
        "arithmetic": {
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "matmul": torch.get_float32_matmul_precision(),
            "cudnn": torch.backends.cudnn.version() if on_gpu else None,
            "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(_SETTINGS)},
        },
    }


_SETTINGS = ("CUBLAS_", "CUDNN_", "MKL_", "NVIDIA_TF32_", "OMP_NUM_THREADS", "ONEDNN_", "OPENBLAS_", "TORCH_CUDNN_")
"""Environment variables by which the libraries are told to compute otherwise."""


def _digest(weights: State, lines: tuple[str, ...]) -> str:
    digest = hashlib.sha256(json.dumps(lines).encode())
    for name, value in sorted(weights.items()):
        flat = value.detach().cpu().contiguous()
        digest.update(f"{name} {flat.dtype} {tuple(flat.shape)}\n".encode())
        digest.update(flat.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
