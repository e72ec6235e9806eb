"""Writes a face set: `train.rec`, `train.idx`, `property`, `train.lst`. The mirror image of `faces`.

The layout is face2rec2's, in which MS1M is distributed: images under keys 1..N with labels [class, aligned],
then the header record under key 0 with [N+1, N+1+K), then one record an identity with the range of its
images' keys.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from recordio_tools.header import Header, pack
from recordio_tools.index import Int64s
from recordio_tools.listing import Listed, format_line
from recordio_tools.whole import whole_folder
from recordio_tools.writer import Writer

MANIFEST = "manifest.json"
VIEW = "view.npz"
OPEN_LISTS = {role: f"open_{role}.lst" for role in ("gallery", "probe", "stranger", "calibration")}
SET_FILES = frozenset(
    {
        "train.rec",
        "train.idx",
        "train.idx.cache",
        "property",
        "train.lst",
        MANIFEST,
        "images_per_identity.png",
        VIEW,
        *OPEN_LISTS.values(),
    }
)
"""All that a folder written by this package holds; the manifest is the mark by which it is known."""


class SetWriter:
    """Writes images one identity after another.

    >>> with SetWriter(folder, 112, 112) as faces:
    ...     faces.add(0, jpeg, "anna/1.jpg")

    Args:
        folder: An existing folder.
        height: Of every image, for `property`.
        width: Of every image, for `property`.
        classes: Number of classes for `property`, where labels may leave some out; by default the labels follow
            one another and are all there are.
        unfinished: As of Writer.

    Attributes:
        images: Number of images written so far.
    """

    def __init__(
        self,
        folder: Path,
        height: int,
        width: int,
        *,
        classes: int | None = None,
        unfinished: Path | None = None,
    ) -> None:
        self._folder = folder
        self._classes = classes
        self._label = -1
        self._size = height, width
        self._starts: list[int] = []
        self.images = 0
        self._files = contextlib.ExitStack()
        self._listing = self._files.enter_context((folder / "train.lst").open("wb"))
        self._writer = self._files.enter_context(Writer(folder / "train.rec", unfinished=unfinished))

    @property
    def identities(self) -> int:
        """Number of identities that have an image so far."""
        return len(self._starts)

    def add(self, label: int, image: bytes | memoryview, source: str, more: Sequence[float] = (1.0,)) -> None:
        """Append an image.

        Args:
            label: The class: that of the image before, or the next whole number, from 0; where the number of
                classes was given, any higher one.
            image: The encoded image; it is copied as it is.
            source: Where it came from; its folder is the person's name.
            more: The labels after the class; by default face2rec2's "aligned".

        Raises:
            SourceError: `source` holds a tab or a line break.
            LimitError: The set grows past what its float32 labels can number.
        """
        key = self.images + 1
        self._begin(label, key)
        self._listing.write(format_line(Listed(source, label)))
        self._writer.write(key, pack(Header(2, (label, *more), key), bytes(image)))
        self.images = key

    def add_framed(self, labels: Int64s, data: memoryview, offsets: Int64s, lines: bytes) -> None:
        """As `add`, for whole records that already hold their class and key: those from `images` + 1 on.

        Args:
            labels: The class of each.
            data: The records.
            offsets: Where in `data` each of them starts.
            lines: What the listing says of them, as `format_line` writes it.

        Raises:
            LimitError: As `add`.
        """
        self._writer.write_framed(self._list(labels, lines), data, offsets)

    def take_over(self, labels: Int64s, sources: Sequence[str], offsets: Int64s, end: int) -> None:
        """Begin with the images of an unfinished record file, as Writer's `take_over`."""
        listed = zip(sources, labels.tolist(), strict=True)
        lines = b"".join(format_line(Listed(source, label)) for source, label in listed)
        self._writer.take_over(self._list(labels, lines), offsets, end)

    def flush(self) -> int:
        """All images so far are on the disk when this returns; the number of bytes of their records."""
        return self._writer.flush()

    def _list(self, labels: Int64s, lines: bytes) -> range:
        """Write the listing's lines of the next images, and return their keys."""
        keys = range(self.images + 1, self.images + 1 + len(labels))
        steps = np.diff(labels, prepend=self._label)
        most = 1 if self._classes is None else self._classes - 1 - self._label
        assert ((steps >= 0) & (steps <= most)).all(), "identities come one after another"
        self._starts += (keys.start + np.flatnonzero(steps)).tolist()
        self._label = int(labels[-1]) if len(labels) else self._label
        self._listing.write(lines)
        self.images += len(labels)
        return keys

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is None:
            with self._files:  # writes the files' ends, or removes them if the tables cannot be written
                self._write_tables()
        else:
            self._files.__exit__(kind, *rest)

    def _begin(self, label: int, key: int) -> None:
        """Note that the identity of `label` begins at `key`, unless it is that of the image before."""
        if label == self._label:
            return
        following = label == self._label + 1 if self._classes is None else self._label < label < self._classes
        assert following, "identities come one after another"
        self._starts.append(key)
        self._label = label

    def _write_tables(self) -> None:
        first = self.images + 1
        starts = self._starts
        self._writer.write_range(0, first, first + len(starts))
        self._writer.write_ranges(range(first, first + len(starts)), [*starts, first])
        height, width = self._size
        classes = len(self._starts) if self._classes is None else self._classes
        (self._folder / "property").write_text(f"{classes},{height},{width}\n")


def new_set(out: Path, *, force: bool, keep_for: str = "") -> contextlib.AbstractContextManager[Path]:
    """A folder to write a set into; it becomes `out`, whole or not at all. See `whole_folder`."""
    return whole_folder(out, SET_FILES, MANIFEST, force=force, keep_for=keep_for)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """`manifest.json`: readable, and one line an entry where a value is a list of entries."""
    lines = []
    for name, value in manifest.items():
        if isinstance(value, list):
            entries = ",\n".join("    " + json.dumps(entry) for entry in value)
            text = f"[\n{entries}\n  ]" if value else "[]"
        else:
            text = json.dumps(value, indent=2).replace("\n", "\n  ")
        lines.append(f"  {json.dumps(name)}: {text}")
    (folder / MANIFEST).write_text("{\n" + ",\n".join(lines) + "\n}\n")
