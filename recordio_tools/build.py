"""Applies a long-tail plan to a face set: MS1M-LT out of MS1M, or any other set.

Records are copied as they are, never decoded or encoded again, only their class number and key change; or they
stay where they are, and a view of a few MB says which of them are meant. Memory grows with the number of
identities and images, not with their bytes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from recordio_tools import longtail
from recordio_tools._copying import RecordCopier
from recordio_tools._open_lists import list_lines, source_paths, write_open_lists
from recordio_tools.chosen import ChosenList, chosen_positions
from recordio_tools.errors import PlanError, SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.header import FLOAT32_EXACT
from recordio_tools.held_out import OpenSplit
from recordio_tools.index import Int64s
from recordio_tools.longtail import Plan, Rule
from recordio_tools.plot import check_matplotlib, images_per_identity
from recordio_tools.set_writer import SetWriter, new_set, write_manifest
from recordio_tools.view import Records, View, path_from


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """What is kept of a set.

    Attributes:
        faces: The source.
        present: Its classes that have images, ascending; the plan counts them.
        available: How many images each of them has.
        plan: What to keep of them.
        by_label: The positions of all images, class after class.
    """

    faces: FaceSet
    present: Int64s
    available: Int64s
    plan: Plan
    by_label: Int64s

    @property
    def starts(self) -> Int64s:
        """Where in `by_label` each of `present` starts."""
        return np.cumsum(self.available) - self.available

    @property
    def labels(self) -> Int64s:
        """The new class of each kept image."""
        return np.repeat(np.arange(len(self.plan.counts)), self.plan.counts)

    def positions(self) -> Int64s:
        """The kept images in the source, one identity after another."""
        return self.by_label[np.repeat(self.starts[self.plan.identities], self.plan.counts) + self.plan.images]

    @property
    def left_out(self) -> Int64s:
        """Those of `present` that are not kept."""
        return np.setdiff1d(np.arange(len(self.present)), self.plan.identities)

    def person(self, identity: int) -> dict[str, Any]:
        """How the source calls one of `present`."""
        label = int(self.present[identity])
        return {"source_label": label, "name": self.faces.names[label] if self.faces.names else None}


def build_longtail(
    source: str | Path,
    out: str | Path,
    rule: Rule | ChosenList,
    seed: int,
    *,
    view: bool = False,
    split: OpenSplit = OpenSplit(),  # noqa: B008  (frozen)
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Make the long-tailed set `out` from the set `source`, whole or not at all, and return its manifest.

    `out` gets the records and `train.lst`, or `view.npz` instead; the manifest (`manifest.json`); a plot
    (`images_per_identity.png`); and lists of the people left out (`open_gallery.lst` and others), whom a system
    trained on `out` has never seen. Kept identities are numbered 0 … K-1 in the order of their numbers in the
    source. The same source, rule, split and seed give the same bytes, wherever source and `out` lie, as long as
    the way from `out` to the source is the same.

    Where the source has no `train.lst`, an image's line there is `source label/source key`. The open lists are in
    the im2rec dialect: key and label are the source's. Where too few people are left out to play every part
    there are no such lists, and the manifest says so under `open_roles`.

    Args:
        source: A set's folder or record file, or a view. A view of a view looks into the records themselves.
        out: The set's folder; made with its parents.
        rule: What to keep, by a law or by name.
        seed: Of the draw, and of dealing the people left out.
        view: Make a view instead of copying.
        split: How to deal the people left out.
        force: Replace `out` if this package wrote it.
        progress: Called with (images done, images in all).

    Raises:
        PlanError: The source cannot give what the rule asks for.
        SourceError: The source or the list is missing or wrong, `out` may not be replaced, or matplotlib cannot be
            loaded.
        DamageError, FaceSetError, IndexMismatchError: The source is broken.
    """
    source, out = Path(source), Path(out)
    if seed < 0:
        raise PlanError(f"seed {seed} was given, expected 0 or more")
    check_matplotlib()
    faces = FaceSet(source)
    if out.resolve() in (faces.reader.path.parent.resolve(), faces.path.resolve()):
        raise SourceError(f"{out}: is the source itself; give another folder")
    cut = _cut(faces, rule, seed)
    with new_set(out, force=force) as folder:
        images_per_identity(cut.plan.counts, cut.available[cut.plan.identities], folder / "images_per_identity.png")
        made = _write_view(cut, folder, out) if view else _write_copy(cut, folder, progress)
        people = cut.left_out
        starts, ends = cut.starts[people], (cut.starts + cut.available)[people]
        open_images = [cut.by_label[start:end] for start, end in zip(starts, ends, strict=True)]
        roles = write_open_lists(faces, open_images, split, seed, folder)
        manifest = {
            "format": "recordio_tools face set",
            "version": 1,
            "made_by": "recordio build-lt",
            "recordio_tools": version("facerec-oltr"),
            "rule": asdict(rule) if isinstance(rule, Rule) else rule.facts(),
            "seed": seed,
            "source": {
                "path": path_from(out, source),
                "fingerprint": faces.fingerprint,
                "images": len(faces),
                "identities": len(cut.present),
            },
            **made,
            "shots": shot_bins(cut.plan.counts),
            "open_roles": roles,
            "kept": [
                {
                    "label": label,
                    **cut.person(identity),
                    "available": int(cut.available[identity]),
                    "kept": int(cut.plan.counts[label]),
                }
                for label, identity in enumerate(cut.plan.identities.tolist())
            ],
            "open": [{**cut.person(identity), "images": int(cut.available[identity])} for identity in people.tolist()],
        }
        write_manifest(folder, manifest)
        progress(len(cut.plan.images), len(cut.plan.images))
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


def _cut(faces: FaceSet, rule: Rule | ChosenList, seed: int) -> _Cut:
    """What `rule` keeps of `faces`."""
    counts = faces.counts()
    present = np.flatnonzero(counts)
    by_label = np.argsort(faces.labels, kind="stable")
    available = counts[present]
    if isinstance(rule, Rule):
        plan = longtail.plan(available, rule, np.random.default_rng(seed))
    else:
        is_kept = np.zeros(len(faces), bool)
        is_kept[chosen_positions(faces, rule)] = True
        kept = np.flatnonzero(is_kept[by_label])
        owners = np.repeat(np.arange(len(present)), available)[kept]
        identities, sizes = np.unique(owners, return_counts=True)
        plan = Plan(identities, sizes, kept - (np.cumsum(available) - available)[owners])
    return _Cut(faces, present, available, plan, by_label)


def _write_copy(cut: _Cut, folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """The records copied; what the manifest says of them."""
    with SetWriter(folder, *size_of(cut.faces)) as copy:
        copy_records(RecordCopier(cut.faces), copy, cut.labels, cut.positions(), progress)
    made = FaceSet(folder)
    return {"output": _output(made.fingerprint, cut.plan)}


def _write_view(cut: _Cut, folder: Path, out: Path) -> dict[str, Any]:
    """A view of the records where they are; what the manifest says of it."""
    faces = cut.faces
    records = Records.of(faces.reader, faces.fingerprint) if faces.view is None else faces.view.records
    view = View(faces.keys[cut.positions()], cut.plan.counts, records)
    height, width = size_of(faces)
    (folder / "property").write_text(f"{len(view.counts)},{height},{width}\n")
    return {"output": _output(view.fingerprint, cut.plan), "view": view.write(folder, out)}


def _output(fingerprint: str, plan: Plan) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "images": len(plan.images), "identities": len(plan.counts)}


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
        own, places = labels[start:end], positions[start:end]
        block = copier.copy(places, own, copy.images + 1) if fits else None
        if block is None:
            copy_slowly(faces, copy, own, places)
        else:
            copy.add_framed(own, block.data, block.offsets, list_lines(faces, places, own.tolist()))
        progress(copy.images, total)


def copy_slowly(faces: FaceSet, copy: SetWriter, labels: Int64s, positions: Int64s) -> None:
    """Take each record apart and put it together again: for every layout, and with every check."""
    sources = source_paths(faces, positions)
    for label, position, source in zip(labels.tolist(), positions.tolist(), sources, strict=True):
        header, image = faces.record(position)
        more = tuple(np.ravel(header.label)[1:].tolist()) if header.flag > 1 else (1.0,)
        copy.add(label, image, source, more)


def size_of(faces: FaceSet) -> tuple[int, int]:
    """(height, width) as `property` says, else of the first image."""
    if faces.size is not None:
        return faces.size
    height, width = faces.image(0).shape[:2]
    return height, width
