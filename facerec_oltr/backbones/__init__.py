"""Backbones: images (B, 3, H, W) in [−1, 1] → features (B, D), with ``features_size`` = D.

Promises: any input size that ``build`` is told; a backbone built with attention gives, before any training, exactly
the features of the one without when it has the same weights.
"""

from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.backbones.iresnet import IResNet, IResNetConfig

Backbone = IResNet
BackboneConfig = IResNetConfig

__all__ = [
    "Backbone",
    "BackboneConfig",
    "IResNet",
    "IResNetConfig",
    "ModulatedAttention",
    "ModulatedAttentionConfig",
]
