"""How a person names what is to be measured: protocols and models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from facerec_oltr.bench.feature_file import FeatureFile, is_feature_file
from facerec_oltr.bench.features import extractor_fingerprint
from facerec_oltr.bench.results import ModelFacts
from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.models import open_extractor
from facerec_oltr.protocols import Protocol, read_photos, read_protocol
from facerec_oltr.protocols.checks import NAME
from facerec_oltr.protocols.lfw_gb import draw_lfw_gb
from facerec_oltr.protocols.ms1m_lt import read_ms1m_lt, source_of

Progress = Callable[[int, int], None]
Named = TypeVar("Named")

DISTRACTORS = 0.5  # the share of a cut's strangers who are enrolled, so that there are galleries of several sizes


@dataclass(frozen=True, eq=False)
class BenchProtocol:
    """A protocol, and where its images are; None where nobody said."""

    protocol: Protocol
    images: Path | None

    @property
    def name(self) -> str:
        """What a result calls it."""
        return self.protocol.name

    @property
    def keys(self) -> list[str]:
        """Of all images that it names, each once."""
        return list(dict.fromkeys(key for templates in self.protocol.lists.values() for key in templates.images))

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Keys of the training images; none where it does not list them."""
        return () if self.protocol.trained_on is None else self.protocol.trained_on.images


@dataclass(frozen=True, eq=False)
class BenchModel:
    """What makes vectors, or has them."""

    facts: ModelFacts
    made_by: Extractor | FeatureFile


def _lfw_gb(images: Path, progress: Progress) -> BenchProtocol:
    return BenchProtocol(draw_lfw_gb(read_photos(images, progress)), images)


def _ms1m_lt(cut: Path, progress: Progress) -> BenchProtocol:
    return BenchProtocol(read_ms1m_lt(cut, distractors=DISTRACTORS, progress=progress), source_of(cut))


DRAWN = {"lfw_gb": _lfw_gb, "ms1m_lt": _ms1m_lt}


def open_protocols(
    named: Sequence[str], images: Sequence[Path], progress: Progress = lambda done, total: None
) -> list[BenchProtocol]:
    """The protocols, under different names.

    Args:
        named: folders of protocols, or names of those that are drawn from the images: ``lfw_gb`` from a folder of LFW,
            ``ms1m_lt`` from a cut of ``recordio build-lt``.
        images: none; one, for all; or as many as there are protocols.
        progress: of images that are read to draw one.

    Raises:
        DataError: there is no such protocol, or it is wrong; or numbers that do not fit.
    """
    if len(images) not in (0, 1, len(named)):
        raise DataError(
            f"found {len(named)} protocols and {len(images)} --images, expected one for all or one for each"
        )
    places = list(images) * (len(named) if len(images) == 1 else 1) or [None] * len(named)
    found = []
    for name, place in zip(named, places, strict=True):
        if name not in DRAWN or Path(name).is_dir():
            found.append(BenchProtocol(read_protocol(name), place))
        elif place is None:
            raise DataError(f"{name}: is drawn from images, but no --images was given; say where they are")
        else:
            found.append(DRAWN[name](place, progress))
    return _told_apart(
        found, lambda one: one.name, lambda one, name: replace(one, protocol=_called(one.protocol, name))
    )


def open_models(named: Sequence[str], detector: str | None) -> list[BenchModel]:
    """The models, under different names.

    Args:
        named: models as ``facerec_oltr.models`` reads them, or files of vectors, each perhaps behind ``NAME=``.
        detector: finds the faces; as ``open_extractor`` has it if not given.

    Raises:
        DataError, CheckpointError, ConfigError: one of them cannot be used.
    """
    found = [_open_model(one, detector) for one in named]
    for model in found:
        if isinstance(model.made_by, FeatureFile) and detector is not None and len(found) == 1:
            raise DataError(f"{named[0]}: its vectors are there already; leave --detector out")
    return _told_apart(
        found, lambda one: one.facts.name, lambda one, name: replace(one, facts=replace(one.facts, name=name))
    )


def _open_model(named: str, detector: str | None) -> BenchModel:
    name, equals, source = named.partition("=")
    if not equals or not NAME.fullmatch(name) or Path(named).exists():
        name, source = "", named
    if is_feature_file(source):
        file = FeatureFile(source)
        return BenchModel(ModelFacts(name or file.name, file.fingerprint, file.dimensions, 0), file)
    made = open_extractor(source, detector)
    finder = None if made.detector is None else Path(made.detector_source).name
    facts = ModelFacts(name or made.name, extractor_fingerprint(made), made.dimensions, made.size, finder)
    return BenchModel(facts, made)


def _called(protocol: Protocol, name: str) -> Protocol:
    return replace(protocol, name=name)


def _told_apart(
    found: list[Named], name_of: Callable[[Named], str], named: Callable[[Named, str], Named]
) -> list[Named]:
    """The same, of two with one name the second with a number."""
    taken: set[str] = set()
    result = []
    for one in found:
        name, number = name_of(one), 2
        while name in taken:
            name, number = f"{name_of(one)} #{number}", number + 1
        taken.add(name)
        result.append(one if name == name_of(one) else named(one, name))
    return result
