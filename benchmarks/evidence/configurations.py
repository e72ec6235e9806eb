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


_START = ("head.classifier=inherited", "head.hallucinator=inherited", "head.selector=learned")
RANDOM_START = _oltr("random-start", *_START)
"""What `oltr` was before these experiments: its classifier begins at random, since the stage before has none that it
could take over, the hallucinator is the classifier of that stage, and the selector begins at random."""


def _random_start(name: str, *settings: str) -> Configuration:
    return _oltr(f"random-start.{name}", *_START, *settings)


ONE_FACTOR = (
    RANDOM_START,
    _random_start("memory-moving", "head.memory=moving_average"),
    _random_start(
        "memory-authors", "head.memory=parameter", 'losses.1.loss={kind="disc_centroids_authors"}', "memory_rate=0.1"
    ),
    _random_start("hallucinator-random", "head.hallucinator=random"),
    _random_start("hallucinator-centroids", "head.hallucinator=centroids"),
    _random_start("selector-whole", "head.selector=whole"),
    _random_start("no-memory", "head.selector=none"),
    _random_start("no-reach", "head.reach=false"),
    _random_start("not-squashed", "head.squashed=false"),
    _random_start("unit", "head.unit=true"),
    _random_start("no-margin", 'losses=[{loss={kind="cross_entropy"}}]'),
    _random_start("uniform", 'sampler={kind="uniform"}'),
    _random_start("one-image", "sampler.images_per_class=1"),
    _random_start("classifier-centroids", "head.classifier=centroids"),
)
"""That one, and what changes if one of its parts is another."""

WHOLE = _oltr("whole", "head.selector=whole")
NO_MEMORY = _oltr("no-memory", "head.selector=none")
FROM_MEANS = (
    Configuration("oltr", "oltr"),
    WHOLE,
    NO_MEMORY,
    _oltr("learned-selector", "head.selector=learned"),
    _oltr("whole-no-reach", "head.selector=whole", "head.reach=false"),
    _oltr("whole-not-squashed", "head.selector=whole", "head.squashed=false"),
)
"""The classifier begins at the class means, and the centroids choose themselves by cosine; the third reads no memory,
so that what the memory adds can be told from what the start adds."""

FROZEN = (Configuration("gallery", GALLERY), *METHODS, RANDOM_START, WHOLE, NO_MEMORY)
ABLATION = (Configuration("ncm", "ncm"), *ONE_FACTOR, *FROM_MEANS)
CIFAR = (*METHODS, RANDOM_START, WHOLE, NO_MEMORY)

_GENTLE = ('stages.0.head={kind="cosine",scale=32.0}', 'stages.0.losses=[{loss={kind="margin",scale=32.0,m2=0.3}}]')
GENTLE = (
    Configuration("oltr_arcface.no-memory", "oltr_arcface", ("stages.1.head.selector=none",)),
    Configuration("arcface.gentle", "arcface", _GENTLE),
    Configuration("ncm.arcface-gentle", "ncm", _GENTLE),
)
"""What of oltr_arcface is its memory and what its first stage: the same without memory, and the scale and margin of
that stage for all epochs, with its own classifier and with class means."""

OMNIGLOT = (
    *(one for one in CIFAR if one.name not in ("focal", "adaface", "lws", "tau_norm", "fslwf")),
    *GENTLE,
)
