"""What a backbone for images must be given."""

from collections.abc import Sequence

from facerec_oltr.errors import ConfigError


def side_of_images(kind: str, shape: Sequence[int]) -> int:
    """S of square images (S, S, 3).

    Args:
        kind: of the backbone, for the message.
        shape: of one input.

    Raises:
        ConfigError: the inputs are vectors.
    """
    if len(shape) != 3:
        raise ConfigError(f"the backbone {kind!r} was given inputs of shape {tuple(shape)}, expected images (S, S, 3)")
    return shape[0]
