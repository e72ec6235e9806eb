"""The optimiser's step on the rows of a weight that were drawn, while the others rest."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def drawn_rows(optimizer: torch.optim.Optimizer, weight: nn.Parameter, index: Tensor, rows: Tensor) -> Iterator[None]:
    """In the block, `optimizer` moves `rows` in the place of `weight`, with their own part of its state.

    At the end of the block the rows and their state are written back; no other row of either has changed.

    Args:
        optimizer: one of its groups holds `weight`.
        weight: (C, D), without a gradient.
        index: (R,) which rows; none twice.
        rows: (R, D), a leaf with the values of those rows, which the loss was computed from.
    """
    group, place = next(
        (group, place)
        for group in optimizer.param_groups
        for place, parameter in enumerate(group["params"])
        if parameter is weight
    )
    known = optimizer.state.get(weight, {})
    optimizer.state[rows] = {name: value[index] if _by_row(value, weight) else value for name, value in known.items()}
    group["params"][place] = rows
    try:
        yield
    finally:
        group["params"][place] = weight
        for name, value in optimizer.state.pop(rows).items():
            if not _by_row(value, rows):
                optimizer.state[weight][name] = value
                continue
            if name not in known:
                optimizer.state[weight][name] = torch.zeros_like(weight)
            optimizer.state[weight][name][index] = value
        with torch.no_grad():
            weight[index] = rows.detach()


def _by_row(value: object, weight: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == weight.shape
