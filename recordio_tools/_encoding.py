"""A photo's bytes → the bytes that the set keeps of it."""

from dataclasses import dataclass
from typing import Literal

from recordio_tools.errors import SourceError
from recordio_tools.image_header import read_header
from recordio_tools.images import decode_rgb, encode_rgb, fit_square

Format = Literal["jpg", "png"]


@dataclass(frozen=True)
class Encoding:
    """How a photo becomes an image of the set.

    Attributes:
        size: Side of the square images, see `fit_square`.
        image_format: "jpg", or "png" to keep every pixel.
        quality: Of the JPEG, 1 to 100.
        as_is: Keep the file's bytes, see `_kept`; format and quality do not matter then.

    Raises:
        SourceError: A value is out of its range.
    """

    size: int = 112
    image_format: Format = "jpg"
    quality: int = 95
    as_is: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise SourceError(f"size {self.size} was given, expected 1 to 4096 pixels")
        if self.image_format not in ("jpg", "png"):
            raise SourceError(f"the image format {self.image_format!r} is unknown, expected jpg or png")
        if not 1 <= self.quality <= 100:
            raise SourceError(f"quality {self.quality} was given, expected 1 to 100")

    def __call__(self, data: bytes, name: str) -> bytes:
        """The image for the photo `data`.

        Raises:
            SourceError: It cannot be decoded.
            MisfitError: It is to be kept as it is and cannot.
        """
        pixels = decode_rgb(data, name)
        if self.as_is:
            return self._kept(data, name, pixels.shape[:2])
        return encode_rgb(fit_square(pixels, self.size), f".{self.image_format}", self.quality)

    def _kept(self, data: bytes, name: str, shape: tuple[int, ...]) -> bytes:
        """`data`, if it is what every reader of face sets takes: a whole JPEG or PNG of the set's size."""
        header = read_header(data)
        assert header, "it was decoded"
        if header.format not in ("JPEG", "PNG") or shape != (self.size, self.size):
            raise MisfitError(
                f"{name}: a {header.format} of {header.width:,} × {header.height:,} pixels, expected a JPEG or PNG of "
                f"{self.size} × {self.size} to keep as it is; leave out --as-is, or give its --size"
            )
        return data


class MisfitError(SourceError):
    """A photo that can be read, but not kept as it is."""
