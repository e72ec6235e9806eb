"""A backbone and a head as one network, and how a stage takes over what an earlier one has learned."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerec_oltr.backbones import Backbone
from facerec_oltr.errors import CheckpointError, ConfigError
from facerec_oltr.experiment import Experiment, Stage
from facerec_oltr.heads import Head

State = dict[str, Tensor]

_NEW_IN_A_STAGE = ("attention.", "modulatedatt.")  # all that a backbone may gain between two stages


class Model(nn.Module):
    """Inputs → features → logits.

    Args:
        backbone: inputs to features.
        head: features to logits.
        fc_add: a layer between them, with a ReLU behind it; None for none.
    """

    def __init__(self, backbone: Backbone, head: Head, fc_add: nn.Linear | None = None) -> None:
        super().__init__()
        self.backbone, self.fc_add, self.head = backbone, fc_add, head
        self.features_size = backbone.features_size if fc_add is None else fc_add.out_features

    def features(self, inputs: Tensor) -> Tensor:
        """Map images (B, 3, S, S) in [−1, 1], or vectors, to features (B, D); never in 16 bits, autocast or not."""
        features = self.backbone(inputs)
        return widened(features if self.fc_add is None else F.relu(self.fc_add(features)))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map inputs to features (B, D) and logits (B, C); never in 16 bits, autocast or not."""
        features = self.features(inputs)
        return features, widened(self.head(features))

    def take_over(self, previous: "Model") -> list[str]:
        """Start from the model of an earlier stage; give the names of weights before the head that it did not have.

        Raises:
            ConfigError: the features of the two have different lengths, so the head cannot take over anything.
        """
        if previous.features_size != self.features_size:
            raise ConfigError(
                f"a stage with features of length {self.features_size} starts from one with {previous.features_size}; "
                'give both the same fc_add, or this one fc_add = "same"'
            )
        result = self.backbone.load_state_dict(previous.backbone.state_dict(), strict=False)
        strangers = [name for name in result.missing_keys if not name.startswith(_NEW_IN_A_STAGE)]
        assert not strangers, strangers
        assert not result.unexpected_keys, result.unexpected_keys
        new = [f"backbone.{name}" for name in result.missing_keys]
        if self.fc_add is not None and previous.fc_add is not None:
            self.fc_add.load_state_dict(previous.fc_add.state_dict())
        elif self.fc_add is not None:
            new += ["fc_add.weight", "fc_add.bias"]
        self.head.inherit(previous.head)
        return new

    def load(self, state: State, source: str) -> None:
        """Load weights that must fit exactly.

        Raises:
            CheckpointError: a weight is missing, too many or of another shape.
        """
        own = self.state_dict()
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unexpected:
            what = f"lacks {missing[0]!r}" if missing else f"has {unexpected[0]!r}, which the network lacks"
            raise CheckpointError(f"{source}: {what}; it was made by another architecture")
        for name, value in state.items():
            if value.shape != own[name].shape:
                raise CheckpointError(
                    f"{source}: {name} has shape {tuple(value.shape)}, expected {tuple(own[name].shape)}; it was made "
                    "for another size or number of classes"
                )
        self.load_state_dict(state)


def build_model(experiment: Experiment, stage: Stage, *, shape: Sequence[int], classes: int, seed: int) -> Model:
    """Build a stage's network with fresh weights that follow from `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = experiment.backbone.build(shape=tuple(shape), attention=stage.attention)
        D = backbone.features_size if stage.fc_add in (None, "same") else stage.fc_add
        fc_add = None if stage.fc_add is None else nn.Linear(backbone.features_size, D)
        head = stage.head.build(features=D, classes=classes)
    return Model(backbone, head, fc_add)


def to_input(inputs: Tensor) -> Tensor:
    """Map what a data set gives to what backbones take; float32 feature vectors (B, D) stay as they are.

    uint8 RGB images (B, S, S, 3) become float (B, 3, S, S), (x − 127.5) / 127.5 in [−1, 1], channel by channel in
    memory: pixel by pixel, as the images come, torch 2.13 ends the process on a CPU in the backward pass of some small
    networks (a segmentation fault).
    """
    if inputs.dtype != torch.uint8:
        return inputs
    planes = inputs.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return planes.sub_(127.5).div_(127.5)


def widened(values: Tensor) -> Tensor:
    """Values of 16 bits as float32; others as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
