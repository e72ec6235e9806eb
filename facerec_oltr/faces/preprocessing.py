"""Pixels as a network wants them: which colours first, and from 0 … 255 to what range."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """(x - mean) / std of each channel, in RGB or BGR.

    Attributes:
        name: as a person gives it behind a model's colon.
        mean: of red, green and blue, in steps of 0 … 255.
        std: the same.
        bgr: whether the network takes blue first.
    """

    name: str
    mean: Three
    std: Three
    bgr: bool = False

    def __call__(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Map (N, S, S, 3) uint8 RGB to (N, 3, S, S) float32."""
        values = (faces.astype(np.float32) - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray((values[..., ::-1] if self.bgr else values).transpose(0, 3, 1, 2))

    def __str__(self) -> str:
        return f"{'BGR' if self.bgr else 'RGB'} (x - {self.mean}) / {self.std}"


def scaled(name: str, mean: float, std: float) -> Preprocessing:
    """One mean and one deviation for all channels, RGB."""
    return Preprocessing(name, (mean, mean, mean), (std, std, std))


_RGB = (
    scaled("arcface", 127.5, 127.5),
    Preprocessing("imagenet", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    scaled("raw", 0, 1),
)
PREPROCESSINGS = {p.name: p for p in (*_RGB, *(Preprocessing(f"{p.name}_bgr", p.mean, p.std, bgr=True) for p in _RGB))}
"""``arcface``: to -1 … 1. ``imagenet``: x / 255, then ImageNet's mean and deviation. ``raw``: as they are. And each
with ``_bgr``."""
ARCFACE, RAW = PREPROCESSINGS["arcface"], PREPROCESSINGS["raw"]
