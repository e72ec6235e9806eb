"""Models × score rules × protocols: everything is asked of the caches first, and what is missing is measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.bench.cells import Cell, Cells
from facerec_oltr.bench.code import code_fingerprint
from facerec_oltr.bench.feature_file import FeatureFile
from facerec_oltr.bench.features import Features, embed_into, store_facts
from facerec_oltr.bench.figures import Choices
from facerec_oltr.bench.measuring import Measuring
from facerec_oltr.bench.named import BenchModel, BenchProtocol
from facerec_oltr.bench.pairs import pair_result
from facerec_oltr.bench.results import BenchResult, Example, ProtocolFacts
from facerec_oltr.bench.sources import image_reader
from facerec_oltr.bench.store import FeatureStore
from facerec_oltr.errors import DataError
from facerec_oltr.metrics.columns import Fusion
from facerec_oltr.protocols import Protocol
from facerec_oltr.protocols.folder import fingerprint
from facerec_oltr.scoring import ScoreRule
from facerec_oltr.scoring.cohort import try_out

_FEATURES, _CELLS = "features", "cells"
_TRIED = 512  # identities on which a rule is tried out


@dataclass(frozen=True)
class Asked:
    """What is asked of every protocol and model.

    Attributes:
        rules: by name.
        targets: wanted FPIRs, each above 0 and below 1.
        fusion: of the scores of an identity's templates.
        sizes: of galleries, beside the whole one.
        replicates: of the intervals.
        seed: of the replicates, and of the order in which identities join a growing gallery.
        training_images: embed those of protocols that list them, and group shots by similarity, too.

    Raises:
        DataError: a number that means nothing.
    """

    rules: Mapping[str, ScoreRule]
    targets: tuple[float, ...] = (0.01, 0.001)
    fusion: Fusion = "max"
    sizes: tuple[int, ...] = ()
    replicates: int = 1000
    seed: int = 0
    training_images: bool = True

    def __post_init__(self) -> None:
        if not self.targets or not all(0 < target < 1 for target in self.targets):
            raise DataError(f"found the FPIRs {_listed(self.targets)}, expected one or more above 0 and below 1")
        if len(set(self.targets)) < len(self.targets) or len(set(self.sizes)) < len(self.sizes):
            raise DataError("an FPIR or a size was given twice; give each once")
        if self.fusion not in ("max", "mean"):
            raise DataError(f"found the fusion {self.fusion!r}, expected max or mean")
        if self.replicates < 1 or self.seed < 0 or any(size < 1 for size in self.sizes):
            raise DataError(
                f"found {self.replicates} replicates, seed {self.seed} and the sizes {_listed(self.sizes)}, expected 1 "
                "or more, 0 or more, and each 1 or more"
            )

    @property
    def choices(self) -> Choices:
        """For the figures."""
        return Choices(self.targets, self.replicates, self.seed)


@dataclass(frozen=True)
class Told:
    """What is told while it goes on.

    Attributes:
        progress: called with (what is done, done, in all).
        words: called with a line for a person.
    """

    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    words: Callable[[str], None] = lambda line: None


def empty_result(protocols: Sequence[BenchProtocol], models: Sequence[BenchModel], asked: Asked) -> BenchResult:
    """The result without its figures: all that decides them."""
    return BenchResult(
        {model.facts.name: model.facts for model in models},
        {one.name: _facts(one, asked) for one in protocols},
        asked.targets,
        asked.fusion,
        asked.replicates,
        asked.seed,
        rules={name: rule.model_dump(mode="json") for name, rule in asked.rules.items()},
        sizes=tuple(sorted(asked.sizes)),
        versions={name: version(name) for name in ("facerec-oltr", "numpy", "scipy")}
        | {"code": code_fingerprint()[:16]},
    )


def bench(
    protocols: Sequence[BenchProtocol],
    models: Sequence[BenchModel],
    asked: Asked,
    cache: Path,
    told: Told | None = None,
) -> tuple[BenchResult, tuple[Example, ...]]:
    """Measure all models by all rules in all protocols.

    Args:
        protocols: with the places of their images.
        models: each makes vectors, or has them.
        asked: all else.
        cache: a folder, made if missing, for vectors and finished cells. Whatever stops this, the next call goes on.
        told: what happens meanwhile.

    Raises:
        DataError: an image is missing, a rule cannot be fitted, a cache file is damaged.
        RecordIOError: a face set is broken.
    """
    told = told or Told()
    for one in protocols:
        check_rules(one.protocol, asked.rules)
    _check_images(protocols, models, asked)
    result, cells = empty_result(protocols, models, asked), Cells(cache / _CELLS)
    found = [
        cell
        for one in protocols
        for model in models
        for cell in _cells(one, model, asked, result, cells, cache / _FEATURES, told)
    ]
    searches, pairs = ([part for cell in found for part in getattr(cell, name)] for name in ("searches", "pairs"))
    examples = tuple(example for cell in found for example in cell.examples)
    return replace(result, searches=tuple(searches), pairs=tuple(pairs)), examples


def check_rules(protocol: Protocol, rules: Mapping[str, ScoreRule]) -> None:
    """Refuse rules that have too few people, ahead of any embedding: fitted to random vectors.

    Raises:
        DataError: which rule, in which search set, and what it lacks.
    """
    for name in protocol.searches:
        gallery, others = (
            np.unique(np.array(protocol.part(name, part).people), return_inverse=True)[1]
            for part in ("gallery", "calibration")
        )
        try:
            try_out(rules.values(), gallery[gallery < _TRIED], others)
        except DataError as error:
            raise DataError(f"{protocol.name}, {name}: {error}") from None


def _check_images(protocols: Sequence[BenchProtocol], models: Sequence[BenchModel], asked: Asked) -> None:
    """Every image that will be asked for is there."""
    for one in protocols:
        if one.images is not None:
            image_reader(one.protocol, one.images)
        for model in models:
            if isinstance(model.made_by, FeatureFile):
                model.made_by.check(one.keys, one.name)
                if asked.training_images:
                    model.made_by.check(
                        one.trained_on, f"the list of training images of {one.name}", "or add --no-training-images"
                    )
            elif one.images is None:
                raise DataError(f"{one.name}: {model.facts.name} needs the photos, but no --images was given; add it")


def _cells(
    one: BenchProtocol,
    model: BenchModel,
    asked: Asked,
    result: BenchResult,
    cells: Cells,
    cache: Path,
    told: Told,
) -> Iterator[Cell]:
    """The cells of a protocol and a model: one for each rule, and one for the pair sets."""
    facts = {
        "protocol": {"name": one.name, "fingerprint": result.protocols[one.name].fingerprint},
        "model": asdict(model.facts),
        "versions": result.versions,
    }
    what = f"{one.name}, {model.facts.name}"
    measuring: Measuring | None = None

    def begun() -> Measuring:
        nonlocal measuring
        if measuring is None:
            on_similar = partial(told.progress, f"{what}: comparing with training images")
            measuring = Measuring(
                one.protocol,
                model.facts.name,
                _features(one, model, asked, cache, told),
                asked.choices,
                asked.fusion,
                asked.sizes,
                on_similar if asked.training_images else None,
            )
        return measuring

    depth = max(rule.depth for rule in asked.rules.values())
    for name, rule in asked.rules.items() if one.protocol.searches else ():
        decided_by = facts | _decides(name, asked) | {"compared_with": result.protocols[one.name].compared_with}
        cell = cells.read(decided_by)
        if cell is None:
            told_of = partial(told.progress, f"{what}, {name}")
            searches, examples = begun().searched(name, rule, depth, told_of)
            cell = Cell(tuple(searches), tuple(examples))
            cells.write(decided_by, cell)
        yield cell
    if one.protocol.pairs:
        decided_by = facts | {"pairs": sorted(one.protocol.pairs)}
        cell = cells.read(decided_by)
        if cell is None:
            features = begun().features
            cell = Cell(
                pairs=tuple(pair_result(one.protocol, s, model.facts.name, features) for s in one.protocol.pairs)
            )
            cells.write(decided_by, cell)
        yield cell


def _decides(name: str, asked: Asked) -> dict[str, Any]:
    return {
        "rule": {"name": name, **asked.rules[name].model_dump(mode="json")},
        "targets": list(asked.targets),
        "fusion": asked.fusion,
        "sizes": sorted(asked.sizes),
        "replicates": asked.replicates,
        "seed": asked.seed,
    }


def _features(one: BenchProtocol, model: BenchModel, asked: Asked, cache: Path, told: Told) -> Features:
    made_by, what = model.made_by, f"{one.name}, {model.facts.name}"
    if isinstance(made_by, FeatureFile):
        return made_by
    assert one.images is not None, "checked before anything is begun"
    facts = store_facts(made_by, one.protocol.source.fingerprint)
    with FeatureStore.open(
        cache, facts, lambda folder: told.words(f"{folder}: another process adds to it; waiting until it has ended")
    ) as store:
        trained_on = one.trained_on if asked.training_images else ()
        if missing := store.missing([*one.keys, *trained_on]):
            if more := len(missing) - len(store.missing(one.keys)):
                told.words(
                    f"{what}: of {len(missing):,} images to embed {more:,} are training images, for shot groups by "
                    "similarity; --no-training-images leaves them out"
                )
            embed_into(
                store,
                made_by,
                [*one.keys, *trained_on],
                image_reader(one.protocol, one.images),
                on_progress=lambda done, total: told.progress(f"{what}: embedding", done, total),
                on_unreadable=lambda reason: told.words(f"left out: {reason}"),
            )
            _, has_face = store.find(missing)
            if not has_face.all():
                told.words(f"{what}: found no face in {int((~has_face).sum()):,} of {len(missing):,} images")
    return store


def _facts(one: BenchProtocol, asked: Asked) -> ProtocolFacts:
    protocol = one.protocol
    people = {person for templates in protocol.lists.values() for person in templates.people} - {""}
    images = {key for templates in protocol.lists.values() for key in templates.images}
    return ProtocolFacts(
        fingerprint(protocol),
        protocol.source.kind,
        protocol.source.fingerprint,
        len(images),
        len(people),
        protocol.made_by,
        protocol.seed,
        dict(protocol.choices),
        len(one.trained_on) if asked.training_images else 0,
    )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"
