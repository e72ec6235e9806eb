"""The meta-embedding head against a plain cosine head of the same size: one step forward and backward.

python benchmarks/meta_embedding.py [classes]

Each head runs in a process of its own, so that its peak memory is its own; the two take turns, and medians are told.
"""

import multiprocessing
import resource
import statistics
import sys
import time

import torch

from facerec_oltr.heads import CosineConfig, MetaEmbeddingConfig

B, D, C = 128, 512, 74_500
ROUNDS, STEPS = 3, 5


def measure(name: str, classes: int) -> tuple[float, float]:
    """Median seconds of a step, and the GB that steps need over parameters and their gradients."""
    torch.manual_seed(0)
    config = MetaEmbeddingConfig() if name == "meta_embedding" else CosineConfig()
    head = config.build(features=D, classes=classes)
    for parameter in head.parameters():
        parameter.grad = torch.zeros_like(parameter)
    if head.memory is not None:
        head.memory.normal_()
    features = torch.randn(B, D, requires_grad=True)
    labels = torch.randint(0, classes, (B,))
    torch.zeros(1).add_(sum(float(p.detach().sum()) for p in head.parameters()))  # touch every page
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        torch.nn.functional.cross_entropy(head(features), labels).backward()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9


def main() -> None:
    """Measure both heads in turns and print the table."""
    classes = int(sys.argv[1]) if len(sys.argv) > 1 else C
    found: dict[str, list[tuple[float, float]]] = {"cosine": [], "meta_embedding": []}
    for _ in range(ROUNDS):
        for name, figures in found.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                figures.append(pool.apply(measure, (name, classes)))
    print(f"B = {B}, D = {D}, C = {classes:,}, {torch.get_num_threads()} threads, {ROUNDS} rounds in turns, medians")
    floor = statistics.median(seconds for seconds, _ in found["cosine"])
    for name, figures in found.items():
        seconds, gigabytes = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{name:15} {seconds:7.3f} s a step  {seconds / floor:5.2f} x cosine  {gigabytes:6.2f} GB at the peak")


if __name__ == "__main__":
    main()
