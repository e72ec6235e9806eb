"""Backbones: images (B, 3, H, W) in [−1, 1], or vectors (B, D), → features (B, D), with ``features_size`` = D.

Promises: any input size that ``build`` is told; a backbone built with attention gives, before any training, exactly
the features of the one without when it has the same weights.
"""

from typing import Annotated

from pydantic import Field

from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.backbones.identity import Identity, IdentityConfig
from facerec_oltr.backbones.iresnet import IResNet, IResNetConfig
from facerec_oltr.backbones.resnet import ResNet, ResNetConfig
from facerec_oltr.backbones.resnet_cifar import ResNetCifar, ResNetCifarConfig

Backbone = Identity | IResNet | ResNet | ResNetCifar
BackboneConfig = Annotated[
    IdentityConfig | IResNetConfig | ResNetConfig | ResNetCifarConfig, Field(discriminator="kind")
]

__all__ = [
    "Backbone",
    "BackboneConfig",
    "IResNet",
    "IResNetConfig",
    "Identity",
    "IdentityConfig",
    "ModulatedAttention",
    "ModulatedAttentionConfig",
    "ResNet",
    "ResNetCifar",
    "ResNetCifarConfig",
    "ResNetConfig",
]
