"""All chance of a run: every epoch's order, and every step's augmentation and dropout, follow from the run's seed.

No random state is ever kept: a run that is killed and resumed at any step draws what the unbroken one would have drawn.
"""

from typing import NamedTuple

import numpy as np
import torch


class StepSeeds(NamedTuple):
    """The seeds of one step.

    Attributes:
        augment: of the changes of this rank's images.
        crop: of their crops.
        backbone: of what is random in the backbone (dropout), by rank.
        head: of what is random behind it (drawn classes, episodes, drawn margins), the same on all ranks.
    """

    augment: int
    crop: int
    backbone: int
    head: int

    def generator(self) -> torch.Generator:
        """A generator for the augmentation."""
        return torch.Generator().manual_seed(self.augment)


def order_of(seed: int, stage: int, epoch: int) -> np.random.Generator:
    """The generator of an epoch's order, the same on all ranks."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stage, epoch)))


def seeds_of(seed: int, stage: int, epoch: int, step: int, rank: int) -> StepSeeds:
    """The seeds of a step on a rank."""
    own = np.random.SeedSequence(seed, spawn_key=(stage, epoch, step, rank)).generate_state(3)
    common = np.random.SeedSequence(seed, spawn_key=(stage, epoch, step)).generate_state(1)
    augment, crop, backbone = map(int, own)
    return StepSeeds(augment, crop, backbone, int(common[0]))
