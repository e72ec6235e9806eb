"""Natural sampling: every image once an epoch, in random order."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from facerec_oltr.components import Config
from facerec_oltr.samplers._base import Sampler


def uniform(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A random order of all N images."""
    return rng.permutation(len(labels))


class UniformConfig(Config):
    """Natural sampling has no choices."""

    kind: Literal["uniform"] = "uniform"

    def build(self) -> Sampler:
        """Give the sampler."""
        return uniform
