"""Vision transformers for faces as arcface_torch has them (after Dosovitskiy et al., ICLR 2021; An et al., 2022).

No class token: the face embedding is a linear map of all patches' tokens. While it is trained a share of the patches is
hidden from the blocks and stands as one learned token in front of that map, and blocks are left out at random.

With 112 pixels in patches of 9 (144 tokens) it has the layers, names and parameter counts of arcface_torch's ``vit_t``
(dim 256, 12 blocks), ``vit_s`` (512, 12) and ``vit_b`` (512, 24). Attention is torch's own instead of theirs in two
products, and nothing is computed in 16 bits unless the run asks for it.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from facerec_oltr.backbones._images import side_of_images
from facerec_oltr.backbones.attention import ModulatedAttention, ModulatedAttentionConfig
from facerec_oltr.components import Config
from facerec_oltr.errors import ConfigError

_STD = 0.02
_FEATURE_EPS = 2e-5


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, inner)
        self.fc2 = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu6(self.fc1(x)))


class _Block(nn.Module):
    """Attention and a perceptron, each with its shortcut and left out with probability `drop`, image by image."""

    def __init__(self, dim: int, heads: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norm1 = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = _Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop(self.attn(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, x: Tensor) -> Tensor:
        """Stochastic depth (Huang et al., ECCV 2016): nothing for some images, 1/(1 − p) as much for the others."""
        if not self.training or not self.drop:
            return x
        stays = x.new_empty(len(x), 1, 1).bernoulli_(1 - self.drop)
        return x * stays / (1 - self.drop)


class _Patches(nn.Module):
    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, patches, dim), row by row; pixels beyond the last whole patch are not seen."""
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Images to features that are batch-normalised but not of unit length.

    Args:
        size: side of the square input in pixels.
        patch: side of a patch.
        dim: length of a token.
        depth: blocks.
        heads: of each block's attention.
        hidden: share of the patches that are hidden in training.
        drop: probability that the last block is left out in training; earlier ones less, the first never.
        features: D.
        attention: put modulated attention on the last tokens, as a map.
    """

    def __init__(
        self,
        size: int,
        *,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        hidden: float,
        drop: float,
        features: int,
        attention: ModulatedAttentionConfig | None = None,
    ) -> None:
        super().__init__()
        self.features_size, self.hidden, self.side = features, hidden, size // patch
        patches = self.side**2
        self.patch_embed = _Patches(dim, patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, patches, dim))
        self.blocks = nn.ModuleList(_Block(dim, heads, drop * k / max(1, depth - 1)) for k in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.feature = nn.Sequential(
            nn.Linear(dim * patches, dim, bias=False),
            nn.BatchNorm1d(dim, eps=_FEATURE_EPS),
            nn.Linear(dim, features, bias=False),
            nn.BatchNorm1d(features, eps=_FEATURE_EPS),
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        nn.init.normal_(self.mask_token, std=_STD)
        nn.init.trunc_normal_(self.pos_embed, std=_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.attention: ModulatedAttention | None = None
        if attention is not None:
            self.attention = attention.build(channels=dim, sides=(self.side, self.side))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, size, size) images in [−1, 1] to (B, D) features."""
        x = self.patch_embed(images) + self.pos_embed
        back = None
        if self.training and self.hidden:
            x, back = self._hide(x)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if back is not None:
            blanks = self.mask_token.expand(len(x), back.shape[1] - x.shape[1], -1)
            x = torch.cat([x, blanks], dim=1).gather(1, back.unsqueeze(2).expand(-1, -1, x.shape[2]))
        if self.attention is not None:
            x = self.attention(x.transpose(1, 2).unflatten(2, (self.side, self.side))).flatten(2).transpose(1, 2)
        return self.feature(x.flatten(1))

    def _hide(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A share of the tokens of each image, in random order, and where in that order each of all tokens stands."""
        order = torch.rand(x.shape[:2], device=x.device).argsort(dim=1)
        kept = order[:, : int(x.shape[1] * (1 - self.hidden))]
        return x.gather(1, kept.unsqueeze(2).expand(-1, -1, x.shape[2])), order.argsort(dim=1)


class VisionTransformerConfig(Config):
    """Choices of a vision transformer; the defaults are arcface_torch's ``vit_t``.

    ``vit_s`` has dim 512, ``vit_b`` dim 512 and depth 24. The transformer is usually trained by AdamW, which
    ``schedule.optimizer`` takes; under SGD it learns slowly. `weights` is a ``backbone.pth`` of arcface_torch to start
    from.
    """

    kind: Literal["vit"] = "vit"
    patch: Annotated[int, Field(ge=1)] = 9
    dim: Annotated[int, Field(ge=1)] = 256
    depth: Annotated[int, Field(ge=1)] = 12
    heads: Annotated[int, Field(ge=1)] = 8
    hidden: Annotated[float, Field(ge=0, lt=1)] = 0.1
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.1
    features: Annotated[int, Field(ge=2)] = 512
    weights: Path | None = None

    @model_validator(mode="after")
    def _heads_share_a_token(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} and {self.heads} heads were given, expected heads that divide dim")
        return self

    def build(self, *, shape: tuple[int, ...], attention: ModulatedAttentionConfig | None) -> VisionTransformer:
        """Build the network for square images (S, S, 3).

        Raises:
            ConfigError: the inputs are vectors, or smaller than a patch.
        """
        side = side_of_images(self.kind, shape)
        if side < self.patch:
            raise ConfigError(f"the backbone 'vit' was given images of {side} pixels, expected {self.patch} or more")
        return VisionTransformer(
            side,
            patch=self.patch,
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            hidden=self.hidden,
            drop=self.drop,
            features=self.features,
            attention=attention,
        )
