"""What a store tells, as rows: a row a template where the best one counts, else a row an identity, their mean."""

from collections.abc import Iterator, Sequence

import numpy as np

from facerec_oltr.gallery.fusing import mean_vectors
from facerec_oltr.gallery.index._rows import Rows
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import Block, Delta, Fusion, Ids, Vectors

_IDENTITIES = 2048  # whose templates are fetched at once

NewRows = tuple[Ids, Ids, Vectors]  # keys, owners, vectors


def all_rows(store: Store, fusion: Fusion, last_template: int) -> Iterator[NewRows]:
    """The rows of all templates up to this number; identities are as they are now."""
    if fusion is Fusion.MAX:
        for block in store.blocks(0, last_template):
            yield block.templates, block.identities, block.vectors
    else:
        yield from _means(store, fusion, [person.number for person in store.people()])


def apply(rows: Rows, delta: Delta, since: int, store: Store, fusion: Fusion) -> bool:
    """Bring rows up to a store's state, from that when ``since`` was the last template; whether any were erased.

    Doing it again after it was broken off anywhere has the same outcome.
    """
    if fusion is Fusion.MAX:
        gone = rows.positions(delta.removed)
        rows.erase(gone)
        _move(rows, delta)
        for block in store.blocks(since, delta.last_template):
            rows.append(block.templates, block.identities, block.vectors)
        return len(gone) > 0
    owners = [block.identities for block in store.blocks(since, delta.last_template)]
    touched = np.unique(np.concatenate([delta.removed_from, delta.moved_from, delta.moved_to, *owners]))
    gone = rows.positions(touched)
    rows.erase(gone)
    for keys, people, vectors in _means(store, fusion, touched.tolist()):
        rows.append(keys, people, vectors)
    return len(gone) > 0


def means(block: Block, fusion: Fusion) -> NewRows:
    """The (weighted) mean vector of each identity, whose product with a probe is the mean of the cosines."""
    people, of = np.unique(block.identities, return_inverse=True)
    weights = block.qualities if fusion is Fusion.QUALITY else np.ones(len(of))
    return people, people, mean_vectors(block.vectors, of, weights)


def _means(store: Store, fusion: Fusion, people: Sequence[int]) -> Iterator[NewRows]:
    for start in range(0, len(people), _IDENTITIES):
        block = store.templates_of(people[start : start + _IDENTITIES])
        if len(block.templates):
            yield means(block, fusion)


def _move(rows: Rows, delta: Delta) -> None:
    where = rows.positions(delta.moved)
    to = dict(zip(delta.moved.tolist(), delta.moved_to.tolist(), strict=True))
    rows.give(where, np.array([to[key] for key in rows.keys[where].tolist()], np.int64))
