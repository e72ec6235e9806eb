"""Weights that a backbone starts from: a plain state dict, which must fit name by name.

    resnet                        of ImageNet, in torchvision's names, which are those of converted Caffe files too;
                                  ``fc``, the classifier of ImageNet, is left behind
    iresnet, mobilefacenet, vit   of faces: a ``backbone.pth`` of arcface_torch

Only what a stage adds to the backbone starts fresh.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from facerec_oltr.backbones import IResNetConfig, MobileFaceNetConfig, ResNetConfig, VisionTransformerConfig
from facerec_oltr.engine.foreign import misfit, read_foreign
from facerec_oltr.engine.model import Model, State
from facerec_oltr.errors import CheckpointError
from facerec_oltr.experiment import Experiment

_CLASSIFIER = ("fc.weight", "fc.bias")
_OF_FACES = IResNetConfig | MobileFaceNetConfig | VisionTransformerConfig
_EXPECTED_FACES = (
    "a backbone.pth of arcface_torch, a state dict of the network that `backbone` describes; to go without, leave "
    "backbone.weights out"
)
_EXPECTED = (
    "the state dict of a ResNet, as backbone.weights says: the OLTR authors' README links caffe_resnet152.pth (layout "
    "'caffe'), torchvision's lie under https://download.pytorch.org/models/ (layout 'usual'); to go without, leave "
    "backbone.weights out"
)


@dataclass(frozen=True)
class Pretrained:
    """A file of weights that was read and fits.

    Attributes:
        path: the file.
        sha256: of the whole file.
        weights: by the backbone's names.
    """

    path: Path
    sha256: str
    weights: State

    def start(self, model: Model) -> list[str]:
        """Put the weights into a model's backbone; give the names of weights before the head that they do not bring."""
        model.backbone.load_state_dict(self.weights, strict=False)
        fresh = [name for name, _ in model.backbone.named_parameters() if name not in self.weights]
        layer = [] if model.fc_add is None else ["fc_add.weight", "fc_add.bias"]
        return [f"backbone.{name}" for name in fresh] + layer


def open_pretrained(experiment: Experiment, shape: Sequence[int]) -> Pretrained | None:
    """Read the file that the experiment's backbone starts from; None where it starts from nothing.

    Args:
        experiment: whose backbone it is for.
        shape: of one input.

    Raises:
        CheckpointError: the file is missing, cannot be read as weights alone, or does not fit the backbone.
    """
    config = experiment.backbone
    if isinstance(config, ResNetConfig):
        wanted, left = _EXPECTED, _CLASSIFIER
        network = f"a ResNet-{config.depth} of width {config.width} with the stem {config.stem!r}: see backbone.depth"
    elif isinstance(config, _OF_FACES):
        wanted, left = _EXPECTED_FACES, ()
        network = f"a backbone {config.kind!r} for {shape[0]} pixels as the experiment describes it: see backbone"
    else:
        return None
    if config.weights is None:
        return None
    content, sha256 = read_foreign(config.weights, wanted)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{config.weights}: holds {type(content).__name__}, expected {wanted}")
    found = {name: value for name, value in content.items() if name not in left}
    with torch.device("meta"):  # names and shapes are all that is asked, and no chance is used up
        expected = config.build(shape=tuple(shape), attention=None).state_dict()
    if problem := misfit(found, expected):
        raise CheckpointError(f"{config.weights}: {problem}; expected weights for {network}")
    return Pretrained(config.weights, sha256, found)
