"""Which methods, and which variants of OLTR, by name."""

from typing import NamedTuple

GALLERY = "gallery"
"""No method: the bare vectors, see gallery.py."""


class Configuration(NamedTuple):
    """A method, or a variant of one, by name.

    Attributes:
        name: in tables and folders.
        method: of configs/methods.
        settings: what it changes, as for ``--set``.
    """

    name: str
    method: str
    settings: tuple[str, ...] = ()


METHODS = tuple(
    Configuration(name, name)
    for name in (
        "plain", "plain_balanced", "focal", "cosine", "arcface", "adaface", "crt", "lws", "tau_norm", "ncm",
        "balanced_softmax", "ldam_drw", "fslwf", "oltr_authors", "oltr", "oltr_arcface",
    )
)  # fmt: skip
"""Left out on frozen features: lifted and range, whose further term acts on the backbone alone, so that they are
plain_balanced; logit_adjusted, which at τ = 1 is balanced_softmax."""


def _oltr(name: str, *settings: str) -> Configuration:
    return Configuration(f"oltr.{name}", "oltr", tuple(f"stages.1.{setting}" for setting in settings))


ONE_FACTOR = (
    Configuration("oltr", "oltr"),
    _oltr("memory-moving", "head.memory=moving_average"),
    _oltr(
        "memory-authors", "head.memory=parameter", 'losses.1.loss={kind="disc_centroids_authors"}', "memory_rate=0.1"
    ),
    _oltr("hallucinator-random", "head.hallucinator=random"),
    _oltr("hallucinator-centroids", "head.hallucinator=centroids"),
    _oltr("selector-whole", "head.selector=whole"),
    _oltr("no-memory", "head.selector=none"),
    _oltr("no-reach", "head.reach=false"),
    _oltr("not-squashed", "head.squashed=false"),
    _oltr("unit", "head.unit=true"),
    _oltr("no-margin", 'losses=[{loss={kind="cross_entropy"}}]'),
    _oltr("uniform", 'sampler={kind="uniform"}'),
    _oltr("one-image", "sampler.images_per_class=1"),
    _oltr("classifier-centroids", "head.classifier=centroids"),
)
"""The mended OLTR, and what changes if one of its parts is another."""

FROZEN = (Configuration("gallery", GALLERY), *METHODS)
ABLATION = ONE_FACTOR
OMNIGLOT = METHODS
CIFAR = METHODS
