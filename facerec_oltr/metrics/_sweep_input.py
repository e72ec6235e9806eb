"""What a sweep is given, checked: one line says what does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import MetricError
from facerec_oltr.metrics._bins import MOST
from facerec_oltr.metrics.exact import Places


@dataclass(frozen=True, eq=False)
class SweepInput:
    """All that is to be searched.

    Attributes:
        probes: (P, D) float32.
        gallery: (T, D) float32.
        identities: (N,) in their order.
        owners: (T,) position of each template's identity; -1 where it is left out.
        own: (P,) position of each probe's identity; -1 where it has none.
        sizes: of the galleries, rising.
        excluded: (E, 2) pairs of a probe and a template.
    """

    probes: npt.NDArray[np.float32]
    gallery: npt.NDArray[np.float32]
    identities: npt.NDArray
    owners: Places
    own: Places
    sizes: tuple[int, ...]
    excluded: Places


def checked_input(
    probes: npt.NDArray[np.float32],
    probe_ids: npt.ArrayLike,
    gallery: npt.NDArray[np.float32],
    gallery_ids: npt.ArrayLike,
    identities: npt.ArrayLike | None,
    sizes: Sequence[int] | None,
    excluded: npt.ArrayLike | None,
) -> SweepInput:
    """The same, once it is known to fit together; the vectors themselves are looked at when they are read."""
    probe_ids, gallery_ids = _features(probes, probe_ids, "probes"), _features(gallery, gallery_ids, "gallery")
    if probes.shape[1] != gallery.shape[1]:
        raise MetricError(
            f"probes have {probes.shape[1]} dimensions and the gallery has {gallery.shape[1]}; "
            "take features of one model for both"
        )
    kinds = [("text" if ids.dtype.kind in "US" else "numbers") for ids in (probe_ids, gallery_ids)]
    if len(probe_ids) and len(gallery_ids) and kinds[0] != kinds[1]:
        raise MetricError(f"the ids of probes are {kinds[0]} and those of the gallery {kinds[1]}; give both alike")
    order = np.unique(gallery_ids) if identities is None else np.asarray(identities)
    owners, own = _positions(gallery_ids, order), _positions(probe_ids, order)
    enrolled = np.bincount(owners[owners >= 0], minlength=len(order))
    if not enrolled.all():
        missing = order[np.flatnonzero(enrolled == 0)[0]]
        raise MetricError(
            f"identity {missing.item()!r} has no template in the gallery, or is named twice; leave it out"
        )
    pairs = _pairs(excluded, len(probes), len(gallery))
    return SweepInput(probes, gallery, order, owners, own, _sizes(sizes, len(order)), pairs)


def check_options(fusion: str, best: int, bins: int | None, others: Sequence[int]) -> None:
    """Refuse what means nothing."""
    if fusion not in ("max", "mean"):
        raise MetricError(f"found fusion {fusion!r}, expected max or mean")
    if best < 1 or min(others) < 1:
        raise MetricError(f"best {best}, block and threads {tuple(others)}: expected 1 or more of each")
    if bins is not None and not 1 <= bins <= MOST:
        raise MetricError(f"found {bins} bins, expected 1 to {MOST:,}")


def _features(features: npt.NDArray[np.float32], ids: npt.ArrayLike, name: str) -> npt.NDArray:
    ids = np.asarray(ids)
    if not isinstance(features, np.ndarray) or features.dtype != np.float32:
        found = features.dtype if isinstance(features, np.ndarray) else type(features).__name__
        raise MetricError(f"{name}: found {found}, expected a numpy array of float32; convert it")
    if features.ndim != 2 or ids.shape != (len(features),) or not features.shape[1]:
        raise MetricError(f"{name}: found features {features.shape} and ids {ids.shape}, expected (n, D) and (n,)")
    return ids


def _positions(ids: npt.NDArray, order: npt.NDArray) -> Places:
    """Where each id stands in the order; -1 where it does not."""
    if not len(order) or not len(ids):
        return np.full(len(ids), -1)
    sorter = np.argsort(order, kind="stable")
    found = sorter[np.minimum(np.searchsorted(order, ids, sorter=sorter), len(order) - 1)]
    return np.where(order[found] == ids, found, -1)


def _sizes(sizes: Sequence[int] | None, identities: int) -> tuple[int, ...]:
    found = (identities,) if sizes is None else tuple(int(size) for size in sizes)
    if not found or list(found) != sorted(set(found)) or found[0] < 0 or found[-1] > identities:
        raise MetricError(f"found gallery sizes {list(found)}, expected rising ones up to {identities:,} identities")
    return found


def _pairs(excluded: npt.ArrayLike | None, probes: int, templates: int) -> Places:
    pairs = np.empty((0, 2), np.int64) if excluded is None else np.asarray(excluded)
    if pairs.size == 0:
        return np.empty((0, 2), np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise MetricError(f"excluded pairs have shape {pairs.shape}, expected (E, 2) places of probes and templates")
    if (pairs < 0).any() or (pairs >= [probes, templates]).any():
        raise MetricError(f"an excluded pair lies beyond the {probes:,} probes and {templates:,} templates")
    return pairs.astype(np.int64)
