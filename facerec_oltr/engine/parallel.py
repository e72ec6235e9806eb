"""Training by several processes, as torchrun starts them: joining, leaving with the reason, and one state of them all.

The backbone is held by every rank and its gradients are averaged; the head is split by class where it can be, and held
by every rank where not (see ranks.py). What is written is the state of one process alone, so that a run goes on with
any number of ranks. The run folder is the same for all: on several machines it lies on a file system that they share.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from facerec_oltr.engine.model import Model, State
from facerec_oltr.errors import FaceRecError, TrainingError
from facerec_oltr.heads import Head
from facerec_oltr.ranks import from_first, rank_and_ranks, rows_on_first, sum_over_ranks

_SIGNS = ("Connection closed by peer", "Connection reset by peer", "Timed out", "timed out", "timeout")
"""What the backends' long messages come to."""

_store: Store | None = None


@contextmanager
def joined(device: torch.device, seconds: float = 600.0) -> Iterator[torch.device]:
    """Join the other processes if torchrun has started several, for as long as the block lasts.

    Args:
        device: of all ranks; of GPUs each rank takes that of its place on its machine.
        seconds: how long a rank waits for another before it takes it for dead.

    Yields:
        The device of this rank.

    Raises:
        TrainingError: another rank has left; the message says why, if it could.
    """
    global _store
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    timeout = timedelta(seconds=seconds)
    _store, rank, ranks = next(rendezvous("env://", timeout=timeout))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=_store, rank=rank, world_size=ranks, timeout=timeout)
    try:
        with warnings.catch_warnings(), _saying_why():
            # of a 1×1 kernel's gradient, whose strides mean nothing; every rank would say it, once each
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield device
    finally:
        dist.destroy_process_group()
        _store = None


@contextmanager
def _saying_why() -> Iterator[None]:
    """Tell the other ranks why this one leaves; say of a rank that has left what it told."""
    rank, ranks = rank_and_ranks()
    assert _store is not None
    try:
        yield
    except (FaceRecError, OSError) as error:
        _store.set(f"left/{rank}", " ".join(str(error).split()))
        raise
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error) or "NCCL" in str(error)):
            raise
        sign = next((sign for sign in _SIGNS if sign in str(error)), str(error).splitlines()[0][:200])
        why = _told(_store, ranks) or f"another rank has died or hangs ({sign})"
        raise TrainingError(
            f"rank {rank} of {ranks} cannot go on alone: {why}; the same command goes on from the last checkpoint"
        ) from None


def _told(store: Store, ranks: int) -> str | None:
    """What the first rank that told why it left has said; None where nobody did, or the store itself is gone."""
    try:
        for rank in range(ranks):
            if store.check([f"left/{rank}"]):
                return f"rank {rank} has stopped: {store.get(f'left/{rank}').decode()}"
    except RuntimeError:  # the rank that kept the store has died
        pass
    return None


def on_first(work: Callable[[], None]) -> None:
    """Do `work` on rank 0, while the others wait; what it raises there is raised on all.

    Raises:
        TrainingError: on the other ranks, with the words of rank 0.
    """
    rank, ranks = rank_and_ranks()
    if ranks == 1:
        work()
        return
    said: list[str | None] = [None]
    try:
        if rank == 0:
            work()
    except (FaceRecError, OSError) as error:
        said = [str(error)]
        raise
    finally:
        dist.broadcast_object_list(said, 0)
    if said[0] is not None:
        raise TrainingError(f"rank 0 has stopped: {said[0]}")


def agreed(*flags: bool, device: torch.device) -> list[bool]:
    """Each flag on every rank: true where any rank has it true."""
    if rank_and_ranks()[1] == 1:
        return list(flags)
    return [bool(flag) for flag in sum_over_ranks(torch.tensor(flags, dtype=torch.int64, device=device)).tolist()]


class Trunk(nn.Module):
    """Inputs → features: all of a network in front of its head."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone, self.fc_add, self._features = model.backbone, model.fc_add, model.features

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs to features (B, D)."""
        return self._features(inputs)


def averaging(trunk: nn.Module, device: torch.device) -> nn.Module:
    """The trunk with its gradients averaged over ranks, where there are several and it has any."""
    if rank_and_ranks()[1] == 1 or not any(weight.requires_grad for weight in trunk.parameters()):
        return trunk
    with warnings.catch_warnings():  # torch 2.13 has a new name for broadcast_buffers, which 2.6 does not know
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            trunk, device_ids=[device] if device.type == "cuda" else None, broadcast_buffers=False
        )


@torch.no_grad()
def even_out(model: Model) -> None:
    """Give all ranks the mean of their batch norms' statistics, and rank 0's of a head's weights that all hold.

    The statistics are moving averages, so it does not matter when they are averaged over ranks, nor how often.
    """
    _, ranks = rank_and_ranks()
    if ranks == 1:
        return
    for name, values in model.state_dict(keep_vars=True).items():
        if name.startswith("head."):
            if not (model.head.shard is not None and name.removeprefix("head.") in model.head.by_class):
                from_first(values.data)
        elif values.is_floating_point() and not isinstance(values, nn.Parameter):
            sum_over_ranks(values).div_(ranks)


def whole_state(model: Model) -> State:
    """The weights as one process would hold them: on rank 0; the others only take part."""
    even_out(model)
    state = model.state_dict()
    for name in _split_weights(model.head):
        state[f"head.{name}"] = rows_on_first(state[f"head.{name}"])
    return state


def whole_optimizer_state(optimizer: torch.optim.Optimizer, head: Head) -> dict[str, Any]:
    """The optimiser's state as one process would hold it: on rank 0; the others only take part."""
    return _with_rows(optimizer, head, optimizer.state_dict(), rows_on_first)


def load_optimizer_state(optimizer: torch.optim.Optimizer, head: Head, state: dict[str, Any], classes: int) -> None:
    """Take from a whole optimiser's state what belongs to this rank."""
    optimizer.load_state_dict(_with_rows(optimizer, head, state, lambda rows: head.own_rows(rows, classes)))


def _with_rows(
    optimizer: torch.optim.Optimizer, head: Head, state: dict[str, Any], change: Callable[[Tensor], Tensor]
) -> dict[str, Any]:
    """A copy of an optimiser's state, with that of weights that are split by class changed."""
    split = {id(head.get_parameter(name)) for name in _split_weights(head) if name in dict(head.named_parameters())}
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    changed = {
        number: {
            name: change(value) if id(parameters[number]) in split and _has_rows(value) else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
    }
    return {**state, "state": changed}


def _split_weights(head: Head) -> tuple[str, ...]:
    return head.by_class if head.shard is not None else ()


def _has_rows(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0
