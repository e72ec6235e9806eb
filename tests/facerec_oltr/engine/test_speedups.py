"""Layouts and compilation: they change no weight's name or value, and a resumed run ends with the same bytes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facerec_oltr.config import load_experiment
from facerec_oltr.engine.model import build_model
from facerec_oltr.engine.run import train
from facerec_oltr.engine.speedups import check_compiler, prepared, refuse_narrow
from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Experiment, Schedule

from ..conftest import TINY
from .conftest import StopAt, StopError, hours

CPU = torch.device("cpu")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def faces(face_set: Path, *overrides: str, method: str = "oltr") -> Experiment:
    wide = [*TINY, "backbone.width=8", f"data.path={face_set}"]
    return load_experiment(method, "att_lt", overrides=[*wide, *overrides])


def backbone(face_set: Path, *overrides: str) -> nn.Module:
    experiment = faces(face_set, "augment={flip=0.5}", "backbone.dropout=0.0", *overrides)
    return build_model(experiment, experiment.stages[0], shape=(16, 16, 3), classes=4, seed=0).backbone


@pytest.mark.parametrize("name", FORMATS)
def test_every_convolution_sees_images_in_that_layout_however_they_come(name: Any, face_set: Path) -> None:
    network, seen = backbone(face_set), []
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels > 1:
            module.register_forward_hook(
                lambda module, inputs, output: seen.append(inputs[0].is_contiguous(memory_format=FORMATS[name]))
            )
    prepared(network, Schedule(epochs=1, batch_size=2, memory_format=name))
    images = torch.randn(2, 3, 16, 16)
    for given in (images.contiguous(), images.contiguous(memory_format=torch.channels_last)):
        network(given)
    assert len(seen) > 10
    assert all(seen)


@pytest.mark.parametrize("name", FORMATS)
def test_names_values_outputs_and_gradients_stay(name: Any, face_set: Path) -> None:
    plain, other = backbone(face_set), backbone(face_set)
    assert prepared(other, Schedule(epochs=1, batch_size=2, memory_format=name, compile=False)) is other
    before, after = plain.state_dict(), other.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    outputs = [network(images) for network in (plain, other)]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-4)
    towards = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(1))
    for output in outputs:
        (output * towards).sum().backward()
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        if one.requires_grad:
            assert one.grad is not None
            torch.testing.assert_close(two.grad, one.grad, atol=1e-4 * float(one.grad.abs().max()) + 1e-5, rtol=1e-3)


def test_a_narrow_backbone_keeps_to_the_layout_that_does_not_crash(face_set: Path, tmp_path: Path) -> None:
    """Its gradient once ended in a segmentation fault in torch's own code, from images that were channels last."""
    narrow, images = backbone(face_set, "backbone.width=4"), torch.randn(4, 3, 16, 16)
    for choice in ({"memory_format": "channels_last"}, {"compile": True}):
        with pytest.raises(ConfigError, match=r"backbone\.layer1\.0\.downsample\.0 has 4 channels, expected 8 or more"):
            refuse_narrow(narrow, Schedule.model_validate({"epochs": 1, "batch_size": 2, **choice}), CPU)
    choices = [*TINY, f"data.path={face_set}", "backbone.width=4", "schedule.memory_format=channels_last"]
    with pytest.raises(ConfigError, match="expected 8 or more for channels_last"):
        train(load_experiment("plain", "att_lt", overrides=choices), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    prepared(narrow, Schedule(epochs=1, batch_size=2))
    narrow(images.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    assert all(torch.isfinite(w.grad).all() for w in narrow.parameters() if w.grad is not None)


def test_vectors_have_no_layout() -> None:
    network = prepared(nn.Linear(3, 2), Schedule(epochs=1, batch_size=2, memory_format="channels_last"))
    assert network(torch.ones(4, 3)).shape == (4, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # importing torch's compiler warns of torch's own code
def test_compilation_changes_no_name_and_waits_for_the_first_batch(face_set: Path) -> None:
    network = backbone(face_set)
    names, parameters = list(network.state_dict()), [id(weight) for weight in network.parameters()]
    prepared(network, Schedule(epochs=1, batch_size=2, compile=True))
    assert list(network.state_dict()) == names
    assert [id(weight) for weight in network.parameters()] == parameters


@pytest.mark.parametrize("name", FORMATS)
def test_a_stopped_run_ends_with_the_bytes_of_an_unbroken_one(name: str, face_set: Path, tmp_path: Path) -> None:
    experiment = faces(face_set, f"schedule.memory_format={name}", "schedule.clip=5.0")
    unbroken = train(experiment, tmp_path / "unbroken")
    for stop in (StopAt(2), StopAt(steps=1), StopAt(1)):
        with pytest.raises(StopError):
            train(experiment, tmp_path / "run", reporter=stop, clock=hours)
    assert train(experiment, tmp_path / "run", clock=hours).read_bytes() == unbroken.read_bytes()


def test_a_machine_that_cannot_compile_is_told_before_the_folder_is_made(
    face_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(function: object) -> Any:
        def compiled(*arguments: Tensor) -> Tensor:
            raise RuntimeError("\nInvalidCxxCompiler: No working C++ compiler found\nand a page more")

        return compiled

    monkeypatch.setattr(torch, "compile", fails)
    check_compiler(Schedule(epochs=1, batch_size=2), CPU)  # not asked for
    with pytest.raises(ConfigError, match=r"\(InvalidCxxCompiler: .* found\); it needs a C\+\+ compiler") as caught:
        train(faces(face_set, "schedule.compile=true"), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own code
def test_a_compiled_backbone_gives_the_same_bytes_whichever_batch_came_first(face_set: Path) -> None:
    """So a resumed run, whose first batch may be of another size, goes on as the unbroken one; near a plain one too."""

    def gradients(sizes: tuple[int, ...], *, compiled: bool) -> dict[tuple[int, str], Tensor]:
        torch.compiler.reset()
        network, found = backbone(face_set), {}
        prepared(network, Schedule(epochs=1, batch_size=2, compile=compiled))
        for size in sizes:
            network.zero_grad()
            generator = torch.Generator().manual_seed(size)
            output = network(torch.randn(size, 3, 16, 16, generator=generator))
            (output * torch.randn(output.shape, generator=generator)).sum().backward()
            grads = ((name, weight.grad) for name, weight in network.named_parameters())
            found |= {(size, name): grad.clone() for name, grad in grads if grad is not None}
        return found

    one, two = gradients((8, 7, 6), compiled=True), gradients((6, 8, 7), compiled=True)
    plain = gradients((8, 7, 6), compiled=False)
    assert one.keys() == two.keys() == plain.keys()
    for key, grad in plain.items():
        assert torch.equal(one[key], two[key])
        torch.testing.assert_close(one[key], grad, atol=1e-3 * float(grad.abs().max()) + 1e-5, rtol=1e-3)
