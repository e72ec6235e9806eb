"""The weights that validated best so far, kept beside unfinished training.

Each best lies under its epoch's name until progress of a later one is saved, so a run that is killed finds the best
that its checkpoint knows of: what lost work had made better goes with it.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from facerec_oltr.engine.checkpoint import save_weights
from facerec_oltr.engine.model import State
from facerec_oltr.errors import CheckpointError
from recordio_tools.whole import write_whole


class BestWeights:
    """The best of a stage's epochs.

    Args:
        folder: of the run's checkpoints.
        writes: whether this process writes, or only follows what another one of several does.
        known: epoch and accuracy of the best that training had when it was stopped; None where it had none.

    Raises:
        CheckpointError: the weights of that epoch are not there.
    """

    def __init__(self, folder: Path, known: tuple[int, float] | None, *, writes: bool = True) -> None:
        self._folder, self.known, self._writes = folder, known, writes
        if known is not None and not self._path(known[0]).exists():
            raise CheckpointError(
                f"{self._path(known[0])}: is missing, expected the best weights so far; remove the run and train again"
            )

    def consider(self, epoch: int, accuracy: float, state: Callable[[], State], facts: dict[str, str]) -> None:
        """Keep the weights that `state` gives if they are better than all before; of equals the earliest stays."""
        if self.known is None or accuracy > self.known[1]:
            facts, weights = {**facts, "epoch": str(epoch), "validation_accuracy": repr(accuracy)}, state()
            if self._writes:
                save_weights(self._path(epoch), weights, facts)
            self.known = epoch, accuracy

    def forget_others(self, but: Collection[int] = ()) -> None:
        """Remove the weights of all epochs but the best; to be called when progress with that best is on the disk.

        Args:
            but: further epochs, which older progress that is kept knows as the best.
        """
        if not self._writes:
            return
        kept = {self._path(epoch) for epoch in (*but, *(self.known or ())[:1])}
        for path in set(self._folder.glob("best-*.safetensors")) - kept:
            path.unlink()

    def hand_over(self, path: Path) -> None:
        """Put the best, if there is one, at `path`."""
        if self.known is not None and self._writes:
            write_whole(path, self._path(self.known[0]).read_bytes())

    def forget(self) -> None:
        """Remove what was kept."""
        self.known = None
        self.forget_others()

    def _path(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch}.safetensors"
