"""What every sampler is called with."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Sampler(Protocol):
    """One epoch's order of images.

    Called with labels (N,) and a generator that is new for each epoch; gives N indices in [0, N). The same labels
    and the same generator state give the same order.
    """

    def __call__(self, labels: npt.NDArray[np.int64], rng: np.random.Generator, /) -> npt.NDArray[np.int64]: ...
