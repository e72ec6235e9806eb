"""Class-aware sampling: every class equally often, however few images it has (the OLTR authors' ClassAwareSampler).

Classes come in random order, each once a round; a draw takes the class and its next `images_per_class` images from a
cycle over them that is shuffled anew after each turn. A class with fewer images than that repeats some inside the
draw, which is the price of balance. The authors let an epoch be as long as C times the largest class and then stop it
early; here an epoch has N images, as many as natural sampling gives.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from facerec_oltr.components import Config


def _shuffled_forever(items: npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(items).tolist()


@dataclass(frozen=True)
class ClassAware:
    """The sampler with its number of successive images a class."""

    images_per_class: int

    def __call__(self, labels: npt.NDArray[np.int64], rng: np.random.Generator, /) -> npt.NDArray[np.int64]:
        """N indices; see the module's words."""
        classes = np.unique(labels)
        images = {c: _shuffled_forever(np.flatnonzero(labels == c), rng) for c in classes.tolist()}
        order: list[int] = []
        for c in _shuffled_forever(classes, rng):
            if len(order) >= len(labels):
                break
            order.extend(islice(images[c], self.images_per_class))
        return np.asarray(order[: len(labels)], dtype=np.int64)


class ClassAwareConfig(Config):
    """Choices of class-aware sampling; four images a class is the authors'."""

    kind: Literal["class_aware"] = "class_aware"
    images_per_class: Annotated[int, Field(ge=1)] = 4

    def build(self) -> ClassAware:
        """Give the sampler."""
        return ClassAware(self.images_per_class)
