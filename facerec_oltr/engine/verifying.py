"""Verification while a run trains: are two photos of one person? On packs of people who are not trained on.

    watch.verify = ["lfw.bin", "held-out-pairs"]     packs of ``recordio pairs``; those of people whom build-lt left out
                                                     are made by: recordio pairs draw SET PACK --open MANIFEST.json
    watch.verify_every = 5                           epochs

Each figure stands in metrics.jsonl under the pack's name: the accuracy over ten folds, its standard deviation, the
equal error rate, and the TAR at each FAR that the pack has impostor pairs enough to show. They are those of ``facerec
evaluate-pairs`` for a run that ended there: the experiment's embedding, of the face and its mirror image. A stage whose
head does not have that embedding yet is measured by its features.

Nothing follows from them, not even the best weights, so a run with packs ends with the bytes of one without. Their
fingerprints belong to what the run folder says that it is.
"""

from collections.abc import Mapping
from pathlib import Path

from facerec_oltr.engine.embedder import RunEmbedder
from facerec_oltr.engine.model import Model
from facerec_oltr.errors import ConfigError, DataError
from facerec_oltr.experiment import Experiment
from facerec_oltr.faces.pairs import FOLDS, measure_pairs, similarities
from recordio_tools.pairs import VerificationPack, open_pack


class Verification:
    """The packs of an experiment, opened and checked.

    Args:
        packs: by the name under which their figures appear.
        embedding: which of a head's embeddings stands for a face.
        size: side of the network's square input.
        every: epochs between two measurements.

    Raises:
        DataError: a pack's pairs cannot be dealt into ten folds, or all are the same person, or none.
    """

    def __init__(self, packs: Mapping[str, VerificationPack], *, embedding: str, size: int, every: int) -> None:
        self._packs, self._embedding, self._size, self._every = dict(packs), embedding, size, every
        for pack in packs.values():
            same = int(pack.same.sum())
            if len(pack) % FOLDS or not 0 < same < len(pack):
                raise DataError(
                    f"{pack.path}: holds {same:,} pairs of the same person and {len(pack) - same:,} of two, expected "
                    f"some of each and a multiple of {FOLDS} in all; make another pack, or leave it out of watch.verify"
                )

    def fingerprints(self) -> dict[str, str]:
        """What each pack is known by, by name."""
        return {name: pack.fingerprint() for name, pack in self._packs.items()}

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether this epoch of a stage is measured."""
        return bool(self._packs) and (epoch % self._every == 0 or epoch == epochs)

    def measure(self, model: Model) -> dict[str, float]:
        """Figures of the network as it stands, by ``NAME/figure``; it is left in evaluation mode.

        Raises:
            SourceError: an image of a pack cannot be decoded.
            DataError: the network gives vectors that are not finite.
        """
        embedding = self._embedding if self._embedding in model.head.embeddings else "direct"
        embedder = RunEmbedder(
            model, name="the network", fingerprint="", size=self._size, embedding=embedding, source=""
        )
        table: dict[str, float] = {}
        for name, pack in self._packs.items():
            figures = measure_pairs(similarities(embedder, pack), pack.same)
            table[f"{name}/accuracy"] = figures.accuracy.mean
            table[f"{name}/accuracy_sd"] = figures.accuracy.sd
            table[f"{name}/eer"] = figures.eer
            for point in figures.points:
                if point.threshold.measurable:
                    table[f"{name}/tar_at_far_{point.threshold.target:g}"] = point.tar
        return table


def open_verification(experiment: Experiment, shape: tuple[int, ...]) -> Verification:
    """Open the packs that an experiment watches; there may be none.

    Args:
        experiment: its `watch` names them.
        shape: of one input of the training split.

    Raises:
        ConfigError: the inputs are vectors, or two packs have one name.
        DataError: a pack is not what it should be.
        RecordIOError: a pack is missing or damaged.
    """
    paths = experiment.watch.verify
    if paths and len(shape) != 3:
        raise ConfigError("watch.verify: the training split holds feature vectors, expected images; leave it empty")
    packs: dict[str, VerificationPack] = {}
    for path in paths:
        name = _name(path)
        if name in packs:
            raise ConfigError(
                f"watch.verify: {packs[name].path} and {path} have one name, {name!r}; rename one of them"
            )
        packs[name] = open_pack(path)
    return Verification(packs, embedding=experiment.embedding, size=shape[0], every=experiment.watch.verify_every)


def _name(path: Path) -> str:
    return path.stem if path.suffix == ".bin" else path.name
