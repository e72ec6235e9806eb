"""The templates of a list as vectors: what is left of them where images have no face."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.bench.features import Features
from facerec_oltr.protocols import TemplateList, pool

_BLOCK = 1 << 14  # images pooled at once


@dataclass(frozen=True, eq=False)
class Templates:
    """T templates.

    Attributes:
        listed: as the protocol has them.
        vectors: (T, D) float32 of length 1; of a failed one, zeros.
        failed: (T,) those of which no image has a face.
    """

    listed: TemplateList
    vectors: npt.NDArray[np.float32]
    failed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.failed)

    def first_image(self, template: int) -> str:
        """The key of a template's first image."""
        return self.listed.images[self.listed.starts[template]]


def pooled(listed: TemplateList, features: Features) -> Templates:
    """Pool a list's images, those without a face left out.

    Raises:
        DataError: the vectors of a template cancel out.
    """
    rows, has_face = features.find(listed.images)
    held = features.vectors()
    vectors = np.zeros((len(listed), held.shape[1]), np.float32)
    left = np.add.reduceat(has_face.astype(np.int64), listed.starts[:-1]) if len(listed) else np.zeros(0, np.int64)
    first = 0
    while first < len(listed):
        last = int(np.searchsorted(listed.starts, listed.starts[first] + _BLOCK, side="right")) - 1
        places = np.arange(first, max(last, first + 1))
        first = int(places[-1]) + 1
        images = slice(int(listed.starts[places[0]]), int(listed.starts[first]))
        use = has_face[images]
        alive = places[left[places] > 0]
        if len(alive):
            some = _only(listed.take(places), use, left[places])
            vectors[alive] = pool(some, np.asarray(held[rows[images][use]]))
    return Templates(listed, vectors, left == 0)


def _only(templates: TemplateList, use: npt.NDArray[np.bool_], left: npt.NDArray[np.int64]) -> TemplateList:
    """The same templates without some of their images, and without those that have none left."""
    if use.all():
        return templates
    alive, images = np.flatnonzero(left > 0).tolist(), np.flatnonzero(use).tolist()
    return TemplateList(
        tuple(templates.names[place] for place in alive),
        tuple(templates.people[place] for place in alive),
        tuple(templates.images[place] for place in images),
        tuple(templates.sha256[place] for place in images),
        templates.media[use],
        np.concatenate([[0], np.cumsum(left[left > 0])]).astype(np.int64),
    )
