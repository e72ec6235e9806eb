"""Vectors times the unit rows of a large matrix, without a second matrix of its size.

    y_bc = x_b · w_c / n_c,   n_c = max(‖w_c‖, ε)

``x @ F.normalize(w).T`` is the same, and keeps a normalised copy of w, the gradient of that copy and further ones for
the chain through the norm: each (C, D), 153 MB at C = 74,500 and D = 512. Here the products are divided instead, and
the backward pass allocates no (C, D) but the gradient itself. With G = ∂L/∂y and H_bc = G_bc / n_c:

    ∂L/∂x_b = Σ_c H_bc w_c
    ∂L/∂w_c = Σ_b H_bc x_b − (Σ_b H_bc y_bc / n_c) w_c        the second part is −∂n_c/∂w_c = −w_c / n_c, times
                                                              Σ_b G_bc y_bc / n_c

A row shorter than ε has n_c = ε, a constant, so it has no second part, as with ``F.normalize``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_EPSILON = 1e-12  # as F.normalize


class _Cosines(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        lengths = rows.norm(dim=1).clamp_min_(_EPSILON)
        products = (x @ rows.T).div_(lengths)
        ctx.save_for_backward(x, rows, lengths, products)
        return products

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator hides the name of ctx
        ctx: Any, *upstream: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        x, rows, lengths, products = ctx.saved_tensors
        to_x = to_rows = None
        scaled = upstream[0] / lengths
        if ctx.needs_input_grad[0]:
            to_x = scaled @ rows
        if ctx.needs_input_grad[1]:
            through_length = (scaled * products).sum(dim=0).div_(lengths).masked_fill_(lengths <= _EPSILON, 0)
            to_rows = (scaled.T @ x).addcmul_(rows, through_length.unsqueeze(1), value=-1)
        return to_x, to_rows


def cosines(x: Tensor, rows: Tensor) -> Tensor:
    """Map x (B, D) and rows (C, D), of one type, to (B, C): x times the unit rows; a row of zeros gives zeros.

    The cosines themselves where x has unit length. It can be differentiated once.
    """
    return _Cosines.apply(x, rows)
