"""Products with unit rows: against ``x @ F.normalize(rows).T`` and torch's own derivative of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facerec_oltr.heads._cosines import cosines

B, C, D = 4, 7, 5


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x, rows = torch.randn(B, D, dtype=dtype), torch.randn(C, D, dtype=dtype)
    rows *= torch.logspace(-3, 3, C, dtype=dtype).unsqueeze(1)
    return x.requires_grad_(), rows.requires_grad_()


def test_the_gradient_is_that_of_the_function() -> None:
    torch.manual_seed(0)
    x, rows = torch.randn(B, D, dtype=torch.float64), torch.randn(C, D, dtype=torch.float64)
    assert torch.autograd.gradcheck(cosines, (x.requires_grad_(), rows.requires_grad_()))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_it_equals_normalising_the_rows_first(dtype: torch.dtype, tolerance: float) -> None:
    x, rows = inputs(dtype)
    upstream = torch.randn(B, C, dtype=dtype)
    mine, theirs = cosines(x, rows), x @ F.normalize(rows).T
    torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance)
    for ours, torchs in zip(*(torch.autograd.grad(y, (x, rows), upstream) for y in (mine, theirs)), strict=True):
        # rows are from 1/1000 to 1000 long, and their gradients from 1000 to 1/1000
        scale = torchs.norm(dim=1, keepdim=True)
        torch.testing.assert_close(ours / scale, torchs / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("length", [0.0, 1e-13])  # below F.normalize's ε the divisor is a constant
def test_a_row_of_nearly_no_length_gives_what_normalising_gives(length: float) -> None:
    x, rows = inputs(torch.float64)
    with torch.no_grad():
        rows[2] *= length / rows[2].norm()
    upstream = torch.randn(B, C, dtype=torch.float64)
    mine, theirs = cosines(x, rows), x @ F.normalize(rows).T
    torch.testing.assert_close(mine, theirs)
    for ours, torchs in zip(*(torch.autograd.grad(y, (x, rows), upstream) for y in (mine, theirs)), strict=True):
        torch.testing.assert_close(ours, torchs)


@pytest.mark.parametrize("which", [0, 1])
def test_what_needs_no_gradient_gets_none(which: int) -> None:
    pair = [tensor.detach() for tensor in inputs(torch.float64)]
    pair[which].requires_grad_()
    cosines(*pair).sum().backward()
    assert [tensor.grad is not None for tensor in pair] == [which == 0, which == 1]


def test_a_second_derivative_is_refused_not_wrong() -> None:
    x, rows = inputs(torch.float64)
    (grad,) = torch.autograd.grad(cosines(x, rows).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
