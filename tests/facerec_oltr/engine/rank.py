"""One of several processes that train together: writes what it saw and what all of them hold.

Run by test_ranks.py: python rank.py RANK RANKS RENDEZVOUS VECTORS FACES OUT
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.parallel import even_out, whole_state
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.reporting import EpochReport
from facerec_oltr.engine.stage import StageRun
from facerec_oltr.experiment import Experiment
from facerec_oltr.ranks import rank_and_ranks, rows_on_first

CPU = torch.device("cpu")
CE, CENTROIDS = '{loss={kind="cross_entropy"}}', '{loss={kind="disc_centroids", margin=2.0}, weight=0.1}'
COSINE = '{kind="cosine", scale=8.0}'
HALF = '{loss={kind="MARGIN", scale=8.0}}'
META = '{kind="meta_embedding", memory="MEMORY", momentum=0.5}'

CASES: dict[str, dict[str, str]] = {
    "plain": {"head": '{kind="dot_product"}', "losses": f"[{CE}]"},
    "focal": {"head": '{kind="dot_product"}', "losses": '[{loss={kind="focal"}}]'},
    "balanced softmax": {"head": '{kind="dot_product"}', "losses": '[{loss={kind="balanced_softmax"}}]'},
    "logit adjusted": {"head": '{kind="dot_product"}', "losses": '[{loss={kind="logit_adjusted"}}]'},
    "cosine": {"head": '{kind="cosine", learned_scale=true}', "losses": f"[{CE}]"},
    "margin": {"head": COSINE, "losses": '[{loss={kind="margin", scale=8.0, tau=0.3, filter_above=0.5}}]'},
    "straight through": {
        "head": '{kind="cosine", scale=8.0, centres=2}',
        "losses": '[{loss={kind="margin", scale=8.0, gradient="straight_through"}}]',
    },
    **{kind: {"head": COSINE, "losses": f"[{HALF.replace('MARGIN', kind)}]"} for kind in ("adaface", "elastic")},
    "magface": {"head": COSINE, "losses": '[{loss={kind="magface", scale=8.0, shortest=1.0, longest=9.0}}]'},
    **{
        f"meta-embedding, {memory}": {"head": META.replace("MEMORY", memory), "losses": f"[{CE}, {CENTROIDS}]"}
        for memory in ("recomputed", "moving_average")
    },
    "meta-embedding, begun at the class means": {
        "head": '{kind="meta_embedding", classifier="centroids", hallucinator="centroids", selector="whole"}',
        "losses": f"[{CE}, {CENTROIDS}]",
    },
    "adamw, clipped": {"head": COSINE, "losses": f"[{CE}]", "schedule": "adamw"},
    "a head that all hold": {"head": '{kind="dot_product"}', "losses": f'[{CE}, {{loss={{kind="lifted"}}}}]'},
    "the authors' memory": {
        "head": META.replace("MEMORY", "parameter"),
        "losses": f'[{CE}, {{loss={{kind="disc_centroids_authors"}}, weight=0.1}}]',
    },
}
WHOLE = ("a head that all hold", "the authors' memory")  # these are not split by class


def experiment_of(case: str, vectors: Path) -> Experiment:
    """The one stage of a case, on vectors behind a layer that learns."""
    overrides = [f"stages.0.{key}={value}" for key, value in CASES[case].items() if key != "schedule"]
    if "schedule" in CASES[case]:
        overrides += ["schedule.optimizer=adamw", "schedule.learning_rate=0.01", "schedule.clip=0.05"]
    overrides += [f"data.path={vectors}", "stages.0.fc_add=10", "schedule.epochs=2", "schedule.batch_size=25"]
    return load_experiment("plain", "lfw_features", overrides=overrides)


def on_images(faces: Path) -> Experiment:
    """A small network on faces, its batch norms frozen: those of each rank see the rank's own images alone."""
    few = ["data.size=16", "backbone.layers=[1,1]", "backbone.width=4", "backbone.features=8", "backbone.dropout=0.0"]
    few += [f"data.path={faces}", "schedule.epochs=2", "schedule.batch_size=8", "augment={flip=0.0}"]
    return load_experiment("arcface", "att_lt", overrides=[*few, "stages.0.freeze_statistics=true"])


def trained(experiment: Experiment) -> dict[str, Any]:
    """What a stage comes to: each step's running loss, the first step's gradients, and in the end the whole weights."""
    data = experiment.data.build()
    model = build_model(experiment, experiment.stages[0], shape=data.shape, classes=data.classes, seed=0)
    if rank_and_ranks()[1] > 1 and experiment.stages[0].splits_by_class:
        model.head.split(data.classes)
    run = StageRun(experiment, 0, model, [], data, CPU, validation=data)
    found: dict[str, Any] = {"split": np.array(model.head.shard is not None)}
    losses, accuracies, validated = [], [], []
    for report in run.train():
        if isinstance(report, EpochReport):
            assert report.validation is not None
            validated.append(report.validation.micro)
            continue
        losses.append(report.loss)
        accuracies.append(report.accuracy)
        if len(losses) == 1:
            found |= {f"gradient of {name}": value for name, value in _gradients(run).items()}
    even_out(model)
    found |= {name: value.numpy().copy() for name, value in whole_state(model).items()}
    figures = {"losses": losses, "accuracies": accuracies, "validated": validated}
    return found | {name: np.array(values) for name, values in figures.items()}


def _gradients(run: StageRun) -> dict[str, np.ndarray]:
    split = {f"head.{name}" for name in run.model.head.by_class} if run.model.head.shard is not None else set()
    found = {}
    for name, weight in run.model.named_parameters():
        if weight.grad is not None:
            found[name] = (rows_on_first(weight.grad) if name in split else weight.grad).numpy().copy()
    return found


def drawn(vectors: Path) -> dict[str, Any]:
    """A step on drawn classes: what went in, what each rank drew, and the loss."""
    experiment = experiment_of("margin", vectors)
    head = '{kind="cosine", scale=8.0, sample=0.5}'
    overrides = [f"stages.0.head={head}", 'stages.0.losses=[{loss={kind="margin", scale=8.0}}]']
    overrides += [f"data.path={vectors}", "stages.0.fc_add=10", "schedule.epochs=1", "schedule.batch_size=8"]
    experiment = load_experiment("plain", "lfw_features", overrides=overrides)
    data = experiment.data.build()
    model = build_model(experiment, experiment.stages[0], shape=data.shape, classes=data.classes, seed=0)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    if rank_and_ranks()[1] > 1:
        model.head.split(data.classes)
    run = StageRun(experiment, 0, model, [], data, CPU, validation=data)
    positions = run._batches(1)[0]
    report = next(run._epoch(1))
    assert model.head.columns is not None
    after = {f"after {name}": value.numpy() for name, value in whole_state(model).items()}
    validated = run.validate()
    assert validated is not None
    columns = model.head.columns.numpy()
    return (
        before
        | after
        | {"positions": positions, "columns": columns, "loss": np.array(report.loss), "micro": validated.micro}
    )


def overflow(rank: int) -> dict[str, Any]:
    """A step in float16 whose gradient overflows on rank 1 alone: the scale after it, and the weight."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer, arithmetic = torch.optim.SGD([weight], lr=0.25), Arithmetic("float16", CPU)
    arithmetic.step((weight.to(torch.float16).float() * (0.5, 2.0)[rank]).sum(), optimizer)
    return {"scale": np.array(arithmetic.state_dict()["scale"]), "weight": weight.detach().numpy()}


def main() -> None:
    """Join the others, and write."""
    rank, ranks, rendezvous, vectors, faces, out = sys.argv[1:]
    timeout = timedelta(seconds=60)
    dist.init_process_group("gloo", f"file://{rendezvous}", timeout, world_size=int(ranks), rank=int(rank))
    found = {case: trained(experiment_of(case, Path(vectors))) for case in CASES}
    found |= {"images": trained(on_images(Path(faces))), "drawn": drawn(Path(vectors)), "overflow": overflow(int(rank))}
    flat = {f"{case}|{name}": value for case, values in found.items() for name, value in values.items()}
    np.savez(out, allow_pickle=False, **flat)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
