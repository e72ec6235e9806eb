"""Checkpoints of the OLTR authors' code as finished runs of ours.

Their ``run_networks.py`` (zhmiao/OpenLongTailRecognition-OLTR, commit f50e375) writes one torch file at the end of a
stage, ``final_model_checkpoint.pth``:

    state_dict_best           feat_model and classifier: weights of the best epoch, each name with `module.` before it
    centroids                 the memory (C, D) of that epoch; None in stage 1
    epoch, best_epoch         the last one, and the one that was best on validation
    best_acc                  its share of right answers there

Their own loader drops names that it does not know and leaves random what it does not find; here both are errors. The
names of their modules before April 2019 (`selfatt`, `centers` …) were never published with weights and are not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from facerec_oltr.data import DataSet
from facerec_oltr.engine.checkpoint import save_weights, write_json
from facerec_oltr.engine.folder import describe
from facerec_oltr.engine.foreign import misfit, read_foreign
from facerec_oltr.engine.model import Model, build_model
from facerec_oltr.errors import CheckpointError, ConfigError
from facerec_oltr.experiment import Experiment
from recordio_tools.whole import whole_folder

_EXPECTED = "a final_model_checkpoint.pth of the OLTR authors' code"
_NAMES = (  # what our names begin with, and theirs
    ("backbone.", "feat_model.module."),
    ("fc_add.", "feat_model.module.fc_add."),
    ("head.fc.", "classifier.module.fc."),
    ("head.hallucinator.", "classifier.module.fc_hallucinator."),
    ("head.selector.", "classifier.module.fc_selector."),
    ("head.classifier.", "classifier.module.cosnorm_classifier."),
    ("head.memory", "centroids"),
)
_FIXED = {  # what their code fixes and no shape of a weight gives away
    "backbone": {"kind": "resnet", "layout": "usual", "stem": "imagenet", "normalisation": "imagenet"},
    "head": {"reach_scale": 10.0, "cosine_scale": 16.0},
}


@dataclass(frozen=True)
class Imported:
    """What an import came to.

    Attributes:
        run: the run folder.
        experiment: as it stands there; its method's name ends in ``_imported``, so that no table takes it for a run
            that was trained here.
        checkpoint: the file, its SHA-256, and the best epoch and its accuracy where the file tells them.
        classes: C.
    """

    run: Path
    experiment: Experiment
    checkpoint: dict[str, Any]
    classes: int


def import_authors(checkpoint: Path, experiment: Experiment, out: Path) -> Imported:
    """Make a finished run folder of a checkpoint of the authors' code.

    Args:
        checkpoint: their file, of either stage.
        experiment: whose last stage has their network, on the data that it was trained on.
        out: the run folder, which must not exist yet or be empty; it appears whole or not at all.

    Raises:
        ConfigError: the experiment's last stage is no network of the authors.
        CheckpointError: the file cannot be read as weights alone, or does not fit that network name by name.
        DataError: the data set is missing or wrong.
        SourceError: `out` holds something.
    """
    _check_network(experiment)
    with whole_folder(out, frozenset(), "experiment.json", force=False) as building:
        content, sha256 = read_foreign(checkpoint, _EXPECTED)
        weights = _weights(content, checkpoint)
        data = experiment.data.build()
        model = _model(weights, experiment, data, checkpoint)
        experiment = experiment.model_copy(update={"method": f"{experiment.method}_imported"})
        facts = {"file": str(checkpoint), "sha256": sha256} | {
            name: content[name] for name in ("best_epoch", "best_acc") if isinstance(content.get(name), int | float)
        }
        write_json(building / "experiment.json", describe(experiment, data) | {"imported": facts})
        stage = experiment.stages[-1].name
        save_weights(building / "model.safetensors", model.state_dict(), {"stage": stage, "imported_from": sha256})
    return Imported(out, experiment, facts, data.classes)


def their_name(ours: str) -> str:
    """The place in their file of a weight of ours.

    >>> their_name("head.hallucinator.bias"), their_name("backbone.layer1.0.bn1.weight")
    ('classifier.module.fc_hallucinator.bias', 'feat_model.module.layer1.0.bn1.weight')
    """
    own, theirs = next(pair for pair in _NAMES if ours.startswith(pair[0]))
    return theirs + ours.removeprefix(own)


def _check_network(experiment: Experiment) -> None:
    stage = experiment.stages[-1]
    place = f"stages.{len(experiment.stages) - 1}.head"
    if stage.head.kind not in ("dot_product", "meta_embedding"):
        raise ConfigError(
            f"{place} is {stage.head.kind!r}, expected 'dot_product' for a checkpoint of the authors' stage 1 or "
            "'meta_embedding' for one of their stage 2; take --method plain or oltr_authors"
        )
    for where, part, fixed in (
        ("backbone", experiment.backbone, _FIXED["backbone"]),
        (place, stage.head, _FIXED["head"] if stage.head.kind == "meta_embedding" else {}),
    ):
        for name, value in fixed.items():
            if (found := getattr(part, name, None)) != value:
                raise ConfigError(
                    f"{where}.{name} is {found!r}, expected {value!r} as in the authors' network, or its answers "
                    f"would be others; give --set {where}.{name}={value}"
                )


def _weights(content: Any, source: Path) -> dict[str, object]:
    """All weights of their file by `feat_model.…`, `classifier.…` and `centroids`."""
    best = content.get("state_dict_best") if isinstance(content, Mapping) else None
    if not isinstance(best, Mapping) or not all(isinstance(part, Mapping) for part in best.values()):
        keys = ", ".join(map(repr, list(content)[:6])) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"{source}: holds {keys or 'nothing'}, expected 'state_dict_best' with 'feat_model' and 'classifier', as "
            f"in {_EXPECTED}"
        )
    weights = {f"{part}.{name}": value for part, state in best.items() for name, value in state.items()}
    if content.get("centroids") is not None:
        weights["centroids"] = content["centroids"]
    return weights


def _model(weights: dict[str, object], experiment: Experiment, data: DataSet, source: Path) -> Model:
    """The network of the experiment's last stage, with their weights."""
    stage = experiment.stages[-1]
    model = build_model(experiment, stage, shape=data.shape, classes=data.classes, seed=0)
    own = model.state_dict()
    if problem := misfit(weights, {their_name(name): value for name, value in own.items()}):
        raise CheckpointError(
            f"{source}: {problem}, in stage {stage.name!r} of {experiment.method} on {experiment.dataset}; "
            f"{_advice(weights, experiment, data.classes)}"
        )
    state: dict[str, Tensor] = {name: weights.get(their_name(name), value) for name, value in own.items()}  # pyright: ignore[reportAssignmentType]  # misfit saw them
    model.load(state, str(source))
    return model


def _advice(weights: Mapping[str, object], experiment: Experiment, classes: int) -> str:
    stage, index = experiment.stages[-1], len(experiment.stages) - 1
    second = "classifier.module.cosnorm_classifier.weight" in weights
    if second != (stage.head.kind == "meta_embedding"):
        return "it is of stage 2: take --method oltr_authors" if second else "it is of stage 1: take --method plain"
    gated = stage.attention is not None and stage.attention.gate == "linear"
    if ("feat_model.module.modulatedatt.fc_spatial.weight" in weights) != gated:
        return "its attention is not that of this method: take oltr_authors for stage 2, plain for stage 1"
    fc_add = weights.get("feat_model.module.fc_add.weight")
    if isinstance(fc_add, Tensor) and fc_add.ndim and stage.fc_add is None:
        return f"it has a layer in front of the classifier: give --set stages.{index}.fc_add={len(fc_add)}"
    if fc_add is None and stage.fc_add is not None:
        return "it has no layer in front of the classifier: take a method whose last stage has no fc_add"
    depth = getattr(experiment.backbone, "depth", None)
    return f"the experiment has a ResNet-{depth} for {classes:,} classes: see --on and backbone.depth"
