"""Images with the same bytes, by 128 bits of their BLAKE2b."""

import numpy as np

from recordio_tools.checks.contents import Teller
from recordio_tools.checks.roles import Roles


def check_repeats(tell: Teller, roles: Roles) -> None:
    """Note each image whose bytes stood earlier in the file, under the same class or under another."""
    found, table = tell.found, tell.found.table
    images = np.flatnonzero(roles.images & (table.digests != 0).any(axis=1))
    digests = table.digests[images]
    order = np.lexsort((digests[:, 0], digests[:, 1]))  # stable: of equal ones the first in the file comes first
    digests = digests[order]
    fresh = np.concatenate([[True], (digests[1:] != digests[:-1]).any(axis=1)])[: len(order)]
    firsts = np.flatnonzero(fresh)
    first_of = images[order[firsts[np.cumsum(fresh) - 1]]] if len(firsts) else images
    again = np.full(len(table), -1, np.int64)
    again[images[order]] = np.where(fresh, -1, first_of)
    labels = table.labels[:, 0]
    same = labels == labels[np.maximum(again, 0)] if len(table) else labels > 0
    for code, mask in (("duplicates.within", same), ("duplicates.across", ~same)):
        tell.records(
            code,
            np.flatnonzero((again >= 0) & mask),
            lambda place: (
                f"found the same image as key {found.keys[again[place]]} (label {labels[again[place]]:g}) "
                f"under label {labels[place]:g}"
            ),
        )
