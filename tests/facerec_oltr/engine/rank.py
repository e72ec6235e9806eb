"""One of several processes with a part of the data each: makes memories together and writes what it holds.

Run by test_ranks.py: python rank.py RANK RANKS RENDEZVOUS VECTORS OUT
"""

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from facerec_oltr.backbones import IdentityConfig
from facerec_oltr.data import FeaturesConfig
from facerec_oltr.engine.model import Model
from facerec_oltr.engine.passes import class_means
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.heads import MetaEmbeddingConfig

STEPS = 3


def memories(vectors: Path, rank: int, ranks: int) -> dict[str, np.ndarray]:
    """Both kinds of memory from rank's part; with one rank, from everything."""
    data = FeaturesConfig(path=vectors).build()
    backbone = IdentityConfig().build(shape=data.shape, attention=None)
    cpu, found = torch.device("cpu"), {}
    for kind in ("recomputed", "moving_average"):
        head = MetaEmbeddingConfig(memory=kind, momentum=0.5).build(features=data.shape[0], classes=data.classes)
        model, arithmetic = Model(backbone, head), Arithmetic("float32", cpu)
        head.refresh(
            lambda model=model, arithmetic=arithmetic: class_means(model, data, cpu, arithmetic), "stage begins"
        )
        found[f"{kind} begins"] = head.memory.numpy().copy()
        for step in range(STEPS):
            batch = np.random.default_rng(step).permutation(len(data))[:25]
            parts = [batch] if ranks == 1 else np.split(batch, [7])  # unequal: a mean of means would be another mean
            own = parts[rank]
            head.observe(torch.from_numpy(data.batch(own)) * (step + 2), torch.from_numpy(data.labels[own]))
        found[kind] = head.memory.numpy().copy()
    return found


def main() -> None:
    """Join the others, and write."""
    rank, ranks, rendezvous, vectors, out = sys.argv[1:]
    dist.init_process_group(
        "gloo", f"file://{rendezvous}", timedelta(seconds=60), world_size=int(ranks), rank=int(rank)
    )
    np.savez(out, allow_pickle=False, **memories(Path(vectors), int(rank), int(ranks)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
