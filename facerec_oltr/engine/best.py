"""The weights that validated best so far, kept beside unfinished training.

Each best lies under its epoch's name until progress of a later one is saved, so a run that is killed finds the best
that its checkpoint knows of: what lost work had made better goes with it.
"""

from pathlib import Path

from facerec_oltr.engine.checkpoint import save_weights
from facerec_oltr.engine.model import State
from facerec_oltr.errors import CheckpointError
from recordio_tools.whole import write_whole


class BestWeights:
    """The best of a stage's epochs.

    Args:
        folder: of the run's checkpoints.
        known: epoch and accuracy of the best that training had when it was stopped; None where it had none.

    Raises:
        CheckpointError: the weights of that epoch are not there.
    """

    def __init__(self, folder: Path, known: tuple[int, float] | None) -> None:
        self._folder, self.known = folder, known
        if known is not None and not self._path(known[0]).exists():
            raise CheckpointError(
                f"{self._path(known[0])}: is missing, expected the best weights so far; remove the run and train again"
            )
        self.forget_others()

    def consider(self, epoch: int, accuracy: float, state: State, facts: dict[str, str]) -> None:
        """Keep these weights if they are better than all before; of equals the earliest stays."""
        if self.known is None or accuracy > self.known[1]:
            facts = {**facts, "epoch": str(epoch), "validation_accuracy": repr(accuracy)}
            save_weights(self._path(epoch), state, facts)
            self.known = epoch, accuracy

    def forget_others(self) -> None:
        """Remove the weights of all epochs but the best; to be called when progress with that best is on the disk."""
        for path in self._folder.glob("best-*.safetensors"):
            if self.known is None or path != self._path(self.known[0]):
                path.unlink()

    def hand_over(self, path: Path) -> None:
        """Put the best, if there is one, at `path`."""
        if self.known is not None:
            write_whole(path, self._path(self.known[0]).read_bytes())

    def forget(self) -> None:
        """Remove what was kept."""
        self.known = None
        self.forget_others()

    def _path(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch}.safetensors"
