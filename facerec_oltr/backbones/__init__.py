"""Backbones: images (B, 3, H, W) in [−1, 1], or vectors (B, D), → features (B, D), with ``features_size`` = D.

Promises: any input size that ``build`` is told; a backbone built with attention gives, before any training, exactly
the features of the one without when it has the same weights.
"""

from typing import Annotated

from pydantic import Field

from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.backbones.identity import Identity, IdentityConfig
from facerec_oltr.backbones.iresnet import IResNet, IResNetConfig
from facerec_oltr.backbones.mobilefacenet import MobileFaceNet, MobileFaceNetConfig
from facerec_oltr.backbones.resnet import ResNet, ResNetConfig
from facerec_oltr.backbones.resnet_cifar import ResNetCifar, ResNetCifarConfig
from facerec_oltr.backbones.vit import VisionTransformer, VisionTransformerConfig

Backbone = Identity | IResNet | MobileFaceNet | ResNet | ResNetCifar | VisionTransformer
BackboneConfig = Annotated[
    IdentityConfig | IResNetConfig | MobileFaceNetConfig | ResNetConfig | ResNetCifarConfig | VisionTransformerConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "Backbone",
    "BackboneConfig",
    "IResNet",
    "IResNetConfig",
    "Identity",
    "IdentityConfig",
    "MobileFaceNet",
    "MobileFaceNetConfig",
    "ModulatedAttention",
    "ModulatedAttentionConfig",
    "ResNet",
    "ResNetCifar",
    "ResNetCifarConfig",
    "ResNetConfig",
    "VisionTransformer",
    "VisionTransformerConfig",
]
