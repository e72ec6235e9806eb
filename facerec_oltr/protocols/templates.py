"""A list of templates: who is searched or enrolled as one, and by which images.

A template is what makes one vector. Mostly it is one photo. In IJB it is several media of one person, each a photo or
the frames of a video: frames are pooled to a medium, and media to the template, see ``pooling``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TemplateList:
    """T templates of I images, as columns: a million distractors are a million lines.

    Attributes:
        names: (T,) of the templates, no two the same.
        people: (T,) whose each one is; "" where the data set does not say.
        images: (I,) the key of each image, template after template: a path in a folder, or a key of a face set.
        sha256: (I,) hex digest of each image's bytes; "" where it is not known.
        media: (I,) which medium of its template an image is of: 0, and the same or one more at each next image.
        starts: (T + 1,) where the images of each template start, and I.
    """

    names: tuple[str, ...]
    people: tuple[str, ...]
    images: tuple[str, ...]
    sha256: tuple[str, ...]
    media: Int64s
    starts: Int64s

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.people) == len(self.starts) - 1
        assert len(self.images) == len(self.sha256) == len(self.media) == self.starts[-1]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of_photos(cls, images: Sequence[str], people: Sequence[str], sha256: Sequence[str] | None = None) -> Self:
        """One template a photo, named as its image."""
        count = len(images)
        hashes = ("",) * count if sha256 is None else tuple(sha256)
        return cls(tuple(images), tuple(people), tuple(images), hashes, np.zeros(count, np.int64), np.arange(count + 1))

    @classmethod
    def join(cls, parts: Iterable["TemplateList"]) -> Self:
        """One list after another."""
        lists = list(parts)
        lengths = [part.starts[1:] - part.starts[:-1] for part in lists]
        return cls(
            tuple(name for part in lists for name in part.names),
            tuple(person for part in lists for person in part.people),
            tuple(image for part in lists for image in part.images),
            tuple(digest for part in lists for digest in part.sha256),
            np.concatenate([np.empty(0, np.int64), *(part.media for part in lists)]),
            np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]))]).astype(np.int64),
        )

    def take(self, places: npt.ArrayLike) -> Self:
        """The templates at these places, in this order."""
        chosen = np.asarray(places, np.int64)
        lengths = (self.starts[1:] - self.starts[:-1])[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.starts[chosen] - starts[:-1], lengths) + np.arange(starts[-1])
        return type(self)(
            tuple(self.names[place] for place in chosen.tolist()),
            tuple(self.people[place] for place in chosen.tolist()),
            tuple(self.images[row] for row in rows.tolist()),
            tuple(self.sha256[row] for row in rows.tolist()),
            self.media[rows],
            starts,
        )

    @property
    def owners(self) -> Int64s:
        """(I,) which template each image is of."""
        return np.repeat(np.arange(len(self)), self.starts[1:] - self.starts[:-1])

    def counts(self) -> dict[str, int]:
        """Number of people, templates and images; people whom nobody names count as none."""
        return {
            "people": len(set(self.people) - {""}),
            "templates": len(self),
            "images": len(set(self.images)),
        }
