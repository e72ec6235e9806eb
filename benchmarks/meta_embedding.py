"""The meta-embedding head against a plain cosine head of the same size: one step forward and backward.

python benchmarks/meta_embedding.py [classes [rounds]]

Each head runs in a process of its own, so that its peak memory is its own; they take turns, and medians are told: of a
round the median step, of a row the median round. "x cosine" is the median, smallest and largest of the rounds' ratios.
GB is the peak over parameters and their gradients, which lie there before the first step.

A second table says how far v_memory lies from the full softmax's when only the k largest scores count, ‖v_k − v‖ / ‖v‖,
for random features and centroids and scores of normal distribution.

The authors' formulation makes a (B, C, D) tensor of differences. It joins in where that takes no more than 1 GB.
"""

import multiprocessing
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerec_oltr.heads import CosineConfig, Head, MetaEmbedding, MetaEmbeddingConfig
from facerec_oltr.heads.meta_embedding import from_memory

B, D, C = 128, 512, 74_500
ROUNDS, STEPS = 5, 5
K = (16, 256)
DEVIATIONS = {"flat": 1.0, "between": 4.0, "peaked": 10.0}  # of the hallucinator's scores


class Authors(MetaEmbedding):
    """The same head with the steps of the authors' code, from the description of its formulas."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C) by way of (B, C, D)."""
        distances = (features.unsqueeze(1) - self.memory.unsqueeze(0)).norm(dim=2)
        reach = self.reach_scale / distances.sort(dim=1).values[:, :1]
        v_memory = torch.softmax(self.hallucinator(features), dim=1) @ self.memory
        meta = reach * (features + torch.tanh(self.selector(features)) * v_memory)
        length = meta.norm(dim=1, keepdim=True)
        classifier = self.classifier
        unit = classifier.weight / classifier.weight.norm(dim=1, keepdim=True)
        return classifier.scale * (length / (1 + length) * (meta / length)) @ unit.T


def build(name: str, classes: int) -> Head:
    """The head of a row, with random weights and centroids."""
    torch.manual_seed(0)
    if name == "cosine":
        return CosineConfig().build(features=D, classes=classes)
    if name == "authors":
        head = Authors(D, classes, reach_scale=10, cosine_scale=16)
    else:
        k = name.partition("top_k=")[2]
        head = MetaEmbeddingConfig(top_k=int(k) if k else None).build(features=D, classes=classes)
    head.memory.normal_()
    return head


def measure(name: str, classes: int) -> tuple[float, float]:
    """Median seconds of a step, and the GB that steps need over parameters and their gradients."""
    head = build(name, classes)
    for parameter in head.parameters():
        parameter.grad = torch.zeros_like(parameter)
    features = torch.randn(B, D, requires_grad=True)
    labels = torch.randint(0, classes, (B,))
    torch.zeros(1).add_(sum(float(p.detach().sum()) for p in head.parameters()))  # touch every page
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        F.cross_entropy(head(features), labels).backward()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9


@torch.no_grad()
def departures(classes: int) -> list[str]:
    """The lines of the second table."""
    torch.manual_seed(0)
    features, memory, hallucinator = torch.randn(B, D), torch.randn(classes, D), nn.Linear(D, classes)
    lines = []
    for word, deviation in DEVIATIONS.items():
        hallucinator.weight.normal_(0, deviation / D**0.5)
        whole = from_memory(features, hallucinator, memory)
        weights = torch.softmax(hallucinator(features), dim=1)
        for k in K:
            away = (from_memory(features, hallucinator, memory, k) - whole).norm(dim=1) / whole.norm(dim=1)
            mass = weights.topk(min(k, classes)).values.sum(dim=1).mean()
            lines.append(f"{word:8} {deviation:9.0f} {k:5} {mass:22.1%} {away.mean():18.3f}")
    return lines


def main() -> None:
    """Measure the heads in turns and print both tables."""
    classes = int(sys.argv[1]) if len(sys.argv) > 1 else C
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    names = ["cosine", "meta_embedding", *(f"meta_embedding top_k={k}" for k in K)]
    differences = B * classes * D * 4 / 1e9
    if differences <= 1:
        names.append("authors")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, figures in found.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                figures.append(pool.apply(measure, (name, classes)))
    print(f"B = {B}, D = {D}, C = {classes:,}, {torch.get_num_threads()} threads, {rounds} rounds in turns, medians")
    for name, figures in found.items():
        seconds, gigabytes = (statistics.median(column) for column in zip(*figures, strict=True))
        ratios = [own / other for (own, _), (other, _) in zip(figures, found["cosine"], strict=True)]
        spread = f"{statistics.median(ratios):5.2f} x cosine ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:24} {seconds:7.3f} s a step  {spread}  {gigabytes:6.2f} GB at the peak")
    print(f"the authors' (B, C, D) differences: {B} · {classes:,} · {D} · 4 bytes = {differences:.1f} GB\n")
    print("scores   deviation     k  softmax in the k largest  ‖v_k − v‖ / ‖v‖")
    print("\n".join(departures(classes)))


if __name__ == "__main__":
    main()
