"""Applies a long-tail plan to a face set: MS1M-LT out of MS1M, or any other set.

Records are copied as they are, never decoded or encoded again; only their class number and key change. Memory
grows with the number of identities and images, not with their bytes.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools import longtail
from recordio_tools._copying import RecordCopier
from recordio_tools.errors import PlanError, SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.header import FLOAT32_EXACT
from recordio_tools.index import Int64s
from recordio_tools.longtail import Plan, Rule
from recordio_tools.plot import check_matplotlib, images_per_identity
from recordio_tools.set_writer import SetWriter, new_set, write_manifest


def build_longtail(
    source: str | Path,
    out: str | Path,
    rule: Rule,
    seed: int,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Make the long-tailed set `out` from the set `source`, whole or not at all, and return its manifest.

    `out` gets the records, `train.lst`, the manifest (`manifest.json`) and a plot
    (`images_per_identity.png`). Kept identities are numbered 0 … K-1 in the order of their numbers in the
    source. The identities left out are the manifest's `open` list: people that a system trained on `out` has
    never seen. The same source, rule and seed give the same bytes.

    Where the source has no `train.lst`, an image's line there is `source label/source key`.

    Args:
        source: A set's folder or record file; its path goes into the manifest as it was given.
        out: The set's folder; made with its parents.
        rule: What to keep.
        seed: Of the draw.
        force: Replace `out` if this package wrote it.
        progress: Called with (images copied, images in all).

    Raises:
        PlanError: The source cannot give what the rule asks for.
        SourceError: The source is missing, `out` may not be replaced, or matplotlib cannot be loaded.
        DamageError, FaceSetError, IndexMismatchError: The source is broken.
    """
    given, out = str(source), Path(out)
    if seed < 0:
        raise PlanError(f"seed {seed} was given, expected 0 or more")
    check_matplotlib()
    faces = FaceSet(source)
    present = np.flatnonzero(faces.counts())
    available = faces.counts()[present]
    plan = longtail.plan(available, rule, np.random.default_rng(seed))
    if out.resolve() == faces.reader.path.parent.resolve():
        raise SourceError(f"{out}: is the source itself; give another folder")
    with new_set(out, force=force) as folder:
        with SetWriter(folder, *size_of(faces)) as copy:
            copy_records(RecordCopier(faces), copy, *_kept_positions(faces, present, plan), progress)
        manifest = _manifest(faces, given, present, available, plan, rule, seed, FaceSet(folder))
        write_manifest(folder, manifest)
        images_per_identity(plan.counts, available[plan.identities], folder / "images_per_identity.png")
    return manifest


def shot_bins(counts: Int64s) -> dict[str, dict[str, int]]:
    """Number of identities in each bin of both conventions, by number of images.

    `faces` is OLTR's for MS1M-LT, in which "few" leaves out the one-shot identities; `lists` is that of
    ImageNet-LT and Places-LT in nearly all papers (Kang et al., Decoupling, ICLR 2020), in which exactly 20
    and 100 are medium.
    """
    return {
        "faces": {
            "many (5 or more)": int((counts >= 5).sum()),
            "few (2 to 4)": int(((counts >= 2) & (counts < 5)).sum()),
            "one-shot (1)": int((counts == 1).sum()),
        },
        "lists": {
            "many (above 100)": int((counts > 100).sum()),
            "medium (20 to 100)": int(((counts >= 20) & (counts <= 100)).sum()),
            "few (below 20)": int((counts < 20).sum()),
        },
    }


def copy_records(
    copier: RecordCopier,
    copy: SetWriter,
    labels: Int64s,
    positions: Int64s,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Append the records at `positions` of the copier's set, many at once where their layout allows it.

    Args:
        copier: Of the source; a set with several sources has one of each.
        copy: What to append to.
        labels: The new class of each image.
        positions: Which images.
        progress: Called with (images in `copy`, images in it at the end of this call).
    """
    faces, total = copier.faces, copy.images + len(positions)
    for start, end in copier.blocks(positions):
        fits = total < FLOAT32_EXACT  # beyond, `add` says what is wrong
        block = copier.copy(positions[start:end], labels[start:end], copy.images + 1) if fits else None
        if block is None:
            copy_slowly(faces, copy, labels[start:end], positions[start:end])
        else:
            sources = [source_of(faces, position) for position in positions[start:end].tolist()]
            copy.add_framed(labels[start:end].tolist(), block.data, block.offsets, sources)
        progress(copy.images, total)


def copy_slowly(faces: FaceSet, copy: SetWriter, labels: Int64s, positions: Int64s) -> None:
    """Take each record apart and put it together again: for every layout, and with every check."""
    for label, position in zip(labels.tolist(), positions.tolist(), strict=True):
        header, image = faces.record(position)
        more = tuple(np.ravel(header.label)[1:].tolist()) if header.flag > 1 else (1.0,)
        copy.add(label, image, source_of(faces, position), more)


def _kept_positions(faces: FaceSet, present: Int64s, plan: Plan) -> tuple[Int64s, Int64s]:
    """(new labels, positions in the source) of the kept images, one identity after another."""
    by_label = np.argsort(faces.labels, kind="stable")
    starts = np.cumsum(faces.counts()) - faces.counts()
    kept = [
        by_label[starts[present[identity]] + images]
        for identity, images in zip(plan.identities, plan.images_of_each(), strict=True)
    ]
    return np.repeat(np.arange(len(kept)), plan.counts), np.concatenate(kept)


def source_of(faces: FaceSet, position: int) -> str:
    """Where an image came from: its path in `train.lst`, without one its `label/key` in this set."""
    if faces.paths is not None:
        return faces.paths[position]
    return f"{faces.labels[position]}/{faces.keys[position]}"


def size_of(faces: FaceSet) -> tuple[int, int]:
    """(height, width) as `property` says, else of the first image."""
    if faces.size is not None:
        return faces.size
    height, width = faces.image(0).shape[:2]
    return height, width


def _manifest(
    faces: FaceSet,
    given: str,
    present: Int64s,
    available: Int64s,
    plan: Plan,
    rule: Rule,
    seed: int,
    made: FaceSet,
) -> dict[str, Any]:
    def person(identity: int) -> dict[str, Any]:
        label = int(present[identity])
        return {"source_label": label, "name": faces.names[label] if faces.names else None}

    kept = [
        {
            "label": label,
            **person(identity),
            "available": int(available[identity]),
            "kept": int(plan.counts[label]),
        }
        for label, identity in enumerate(plan.identities)
    ]
    left_out = np.setdiff1d(np.arange(len(present)), plan.identities)
    return {
        "format": "recordio_tools face set",
        "version": 1,
        "made_by": "recordio build-lt",
        "rule": asdict(rule),
        "seed": seed,
        "source": {
            "path": given,
            "fingerprint": faces.fingerprint,
            "images": len(faces),
            "identities": len(present),
        },
        "output": {"fingerprint": made.fingerprint, "images": len(made), "identities": len(kept)},
        "shots": shot_bins(plan.counts),
        "kept": kept,
        "open": [{**person(identity), "images": int(available[identity])} for identity in left_out],
    }
