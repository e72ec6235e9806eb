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

_FROM_MEANS = ("head.classifier=centroids", "head.hallucinator=centroids")
MEANS = _oltr("means", *_FROM_MEANS, "head.selector=whole")
MEANS_ALONE = _oltr("means-no-memory", *_FROM_MEANS, "head.selector=none")
FROM_MEANS = (
    MEANS,
    MEANS_ALONE,
    _oltr("means-learned-selector", *_FROM_MEANS),
    _oltr("means-no-reach", *_FROM_MEANS, "head.selector=whole", "head.reach=false"),
    _oltr("means-not-squashed", *_FROM_MEANS, "head.selector=whole", "head.squashed=false"),
)
"""The classifier begins at the class means, and the centroids choose themselves by cosine; the second reads no memory,
so that what the memory adds can be told from what the start adds."""

FROZEN = (Configuration("gallery", GALLERY), *METHODS, MEANS, MEANS_ALONE)
ABLATION = (Configuration("ncm", "ncm"), *ONE_FACTOR, *FROM_MEANS)
CIFAR = (*METHODS, MEANS, MEANS_ALONE)
OMNIGLOT = tuple(one for one in CIFAR if one.name not in ("focal", "adaface", "lws", "tau_norm", "fslwf"))
