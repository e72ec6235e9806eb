"""The errors of facerec_oltr: one small tree, so that a caller can catch all of it or one branch.

Every message is one line that says what was found, what was expected and what to do next.
"""


class FaceRecError(Exception):
    """The root: everything that this package raises on purpose."""


class ConfigError(FaceRecError):
    """An experiment's files contradict themselves, each other or what the components accept."""


class DataError(FaceRecError):
    """Input data is missing, empty, unreadable or does not fit what was asked of it."""


class CheckpointError(FaceRecError):
    """A run folder or checkpoint is missing, damaged or of another architecture."""


class TrainingError(FaceRecError):
    """Training cannot go on: a loss that is not finite, a stage that cannot start."""


class StoppedError(FaceRecError):
    """Training was asked to stop, and has saved where it stands."""


class ExportError(FaceRecError):
    """A model cannot be written in another format, or does not give there what it gives here."""


class GalleryError(FaceRecError):
    """A gallery is missing, damaged, of another embedder, or lacks what a decision needs."""


class MetricError(FaceRecError):
    """A metric was asked of data for which it is not defined."""
