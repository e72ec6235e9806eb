"""A training step of ours against a plain re-statement of arcface_torch's, on the same backbone, batch and threads.

python benchmarks/train_step.py --backbone iresnet18 --with channels_last --with compile

arcface_torch runs on CUDA alone and its head wants a process group, so what its train_v2.py does in a step with one
process was written down anew from reading it: features, cosines to normalised class weights, the margin by way of all
angles, softmax and its gradient, the backbone's gradient shortened to a norm of 5, SGD, and the loss read. It is given
images that are ready; our step, the engine's own with its order, flip, checks and report, begins at decoded bytes.
First both make the same two steps, and their weights are compared. Then they take turns in one process, each row with a
network of its own: medians over rounds, of seconds by the clock, of CPU seconds, and of the rounds' ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.model import build_model, to_input
from facerec_oltr.engine.stage import Done, StageRun
from facerec_oltr.experiment import Experiment

SIDE, D, MARGIN, SCALE, RATE = 112, 512, 0.5, 64.0, 0.1
BACKBONES = {
    "iresnet18": '{kind="iresnet"}',
    "iresnet50": '{kind="iresnet", layers=[3, 4, 14, 3]}',
    "mobilefacenet": '{kind="mobilefacenet"}',
}
HEADS = {
    "margin": ('{kind="cosine", scale=64.0}', '[{loss={kind="margin", gradient="straight_through"}}]'),
    "meta_embedding": (
        '{kind="meta_embedding"}',
        '[{loss={kind="cross_entropy"}}, {loss={kind="disc_centroids"}, weight=0.01}]',
    ),
}
OPTIONS = {
    "channels_last": "schedule.memory_format=channels_last",
    "compile": "schedule.compile=true",
    "bfloat16": "schedule.precision=bfloat16",
}


class Drawn:
    """A training split of noise, in memory: 256 images that return, and every class in turn."""

    def __init__(self, count: int, classes: int) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 3), np.uint8)
        self.labels: npt.NDArray[np.int64] = np.arange(count) % classes
        self.classes, self.shape, self.fingerprint = classes, (SIDE, SIDE, 3), "drawn"
        self.stand_ins = MappingProxyType({})

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: npt.NDArray[np.int64], crop: object = None) -> npt.NDArray[Any]:
        """The images at `positions`."""
        return self.images[positions % len(self.images)]

    def name(self, position: int) -> str:
        """Of an image, for messages."""
        return f"image {position}"


class _Softmax(torch.autograd.Function):
    """Mean of −log softmax(logits)[label], with the softmax written over the logits and kept for the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        shares = logits.sub_(logits.amax(dim=1, keepdim=True)).exp_()
        shares.div_(shares.sum(dim=1, keepdim=True))
        ctx.save_for_backward(shares, labels)
        return -shares.gather(1, labels.unsqueeze(1)).clamp_min(1e-30).log().mean()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        shares, labels = ctx.saved_tensors
        shares -= torch.zeros_like(shares).scatter_(1, labels.unsqueeze(1), 1)
        return shares.div_(len(labels)) * upstream[0].item(), None


class Peer:
    """arcface_torch's step: SGD with momentum 0.9 and decay 5e-4 on a backbone and one weight a class."""

    def __init__(self, backbone: nn.Module, weight: Tensor) -> None:
        self.backbone, self.weight = backbone.train(), nn.Parameter(weight)
        groups = [{"params": list(backbone.parameters())}, {"params": [self.weight]}]
        self.optimizer = torch.optim.SGD(groups, lr=RATE, momentum=0.9, weight_decay=5e-4)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Train on a batch; give its loss."""
        cosine = F.linear(F.normalize(self.backbone(images)), F.normalize(self.weight)).clamp(-1, 1)
        with torch.no_grad():  # beside autograd: the gradient passes as if there were no margin
            cosine.acos_()
            cosine[torch.arange(len(labels), device=labels.device), labels] += MARGIN
            cosine.cos_()
        loss = _Softmax.apply(cosine * SCALE, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.backbone.parameters(), 5)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


@dataclass
class Row:
    """What is measured: a step, and what it took in each round."""

    step: Callable[[], object]
    held: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0


def experiment_of(arguments: argparse.Namespace, *options: str) -> Experiment:
    """ArcFace's experiment with arcface_torch's schedule, or with another head and its losses."""
    head, losses = HEADS[arguments.head]
    overrides = [
        f"backbone={BACKBONES[arguments.backbone]}",
        f"schedule={{epochs=1, batch_size={arguments.batch}, learning_rate={RATE}, clip=5.0, decay='linear'}}",
        "augment={flip=0.5}",
        f"stages.0.head={head}",
        f"stages.0.losses={losses}",
        *options,
    ]
    return load_experiment("arcface", "att_lt", overrides=overrides)


def our_run(experiment: Experiment, data: Drawn, device: torch.device) -> StageRun:
    """The engine's own run of a stage; a memory is random, since it would be made by a pass over all images."""
    model = build_model(experiment, experiment.stages[0], shape=data.shape, classes=data.classes, seed=0).to(device)
    run = StageRun(experiment, 0, model, [], data, device)
    if model.head.memory is not None:
        model.head.memory.normal_()
    run.go_on(Done(), run.state())
    return run


def peer_of(arguments: argparse.Namespace, classes: int, device: torch.device) -> Peer:
    """The peer, with the weights that ours starts from."""
    experiment = experiment_of(arguments)
    model = build_model(experiment, experiment.stages[0], shape=(SIDE, SIDE, 3), classes=classes, seed=0).to(device)
    weight = getattr(model.head, "weight", None)
    return Peer(model.backbone, torch.randn(classes, D, device=device) * 0.01 if weight is None else weight.detach())


def ready(data: Drawn, positions: npt.NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """A batch as arcface_torch's loader gives it: contiguous floats, and labels."""
    images = to_input(torch.from_numpy(data.batch(positions))).contiguous().to(device)
    return images, torch.from_numpy(data.labels[positions]).to(device)


@torch.no_grad()
def distance(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The norm of the difference, over all of them together."""
    return float(torch.stack([(own - other).norm() for own, other in zip(some, others, strict=True)]).norm())


def apart(arguments: argparse.Namespace, device: torch.device) -> float:
    """How far the weights of both lie apart after two steps on the same images, of how far they have moved."""
    data = Drawn(8, 10)
    run = our_run(experiment_of(arguments, "augment={flip=0.0}", "schedule.batch_size=4"), data, device)
    peer = peer_of(arguments, 10, device)
    ours, theirs = list(run.model.parameters()), [*peer.backbone.parameters(), peer.weight]
    start = [weight.detach().clone() for weight in theirs]
    training, batches = run.train(), run._batches(1)
    for step, positions in enumerate(batches):
        next(training)
        for group in peer.optimizer.param_groups:
            group["lr"] = RATE * (1 - step / len(batches))
        peer.step(*ready(data, positions, device))
    return distance(ours, theirs) / distance(start, theirs)


def rows_of(arguments: argparse.Namespace, device: torch.device) -> Iterator[tuple[str, Row]]:
    """Every row, warmed up by three steps; compilation takes place in them."""
    count = arguments.batch * (arguments.rounds * arguments.steps + 4)
    data = Drawn(count, arguments.classes)
    for name in ("arcface_torch", "ours", *arguments.options):
        before = allocated(device)
        if name == "arcface_torch":
            peer = peer_of(arguments, arguments.classes, device)
            batch = ready(data, np.arange(arguments.batch), device)
            step: Callable[[], object] = lambda peer=peer, batch=batch: peer.step(*batch)  # noqa: E731
        else:
            options = [] if name == "ours" else [OPTIONS[option] for option in name.split("+")]
            training = our_run(experiment_of(arguments, *options), data, device).train()
            step = lambda training=training: next(training)  # noqa: E731
        began = time.perf_counter()
        for _ in range(3):
            step()
        print(f"{name}: three steps to warm up took {time.perf_counter() - began:.0f} s", flush=True)
        yield name, Row(step, allocated(device) - before)


def allocated(device: torch.device) -> int:
    """Bytes that tensors hold on a GPU; 0 elsewhere, where torch does not count."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def measure(row: Row, steps: int, device: torch.device) -> None:
    """A round of one row."""
    others = allocated(device) - row.held
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        row.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        row.peak = max(row.peak, torch.cuda.max_memory_allocated(device) - others)
    row.wall.append((time.perf_counter() - wall) / steps)
    row.cpu.append((time.process_time() - cpu) / steps)


def spread(values: list[float], others: list[float]) -> str:
    """How many times as fast `values` are as `others`: the median, smallest and largest of the rounds' ratios."""
    ratios = [other / own for own, other in zip(values, others, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Compare the weights, measure in turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--backbone", choices=BACKBONES, default="iresnet18")
    parser.add_argument("--head", choices=HEADS, default="margin", help="of ours; the peer's is always the margin")
    parser.add_argument("--classes", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="of each row in a round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--with", dest="options", action="append", default=[], help=f"{', '.join(OPTIONS)}, or A+B")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.head == "margin":
        print(f"after two steps the weights lie {apart(arguments, device):.1e} of their way apart", flush=True)
    rows = dict(rows_of(arguments, device))
    for _ in range(arguments.rounds):
        for row in rows.values():
            measure(row, arguments.steps, device)
    print(
        f"{arguments.backbone}, {arguments.head}, C = {arguments.classes:,}, B = {arguments.batch}, {device}, "
        f"{arguments.threads} threads, {arguments.rounds} rounds of {arguments.steps} steps in turns, medians"
    )
    print("step | images/s | times as fast | images per CPU-second | times as fast | GB at the peak")
    peer = rows["arcface_torch"]
    for name, row in rows.items():
        by_clock, by_cpu = (arguments.batch / statistics.median(column) for column in (row.wall, row.cpu))
        peak = f"{row.peak / 1e9:.2f}" if row.peak else "-"
        figures = f"{by_clock:.1f} | {spread(row.wall, peer.wall)} | {by_cpu:.1f} | {spread(row.cpu, peer.cpu)}"
        print(f"{name} | {figures} | {peak}")


if __name__ == "__main__":
    main()
