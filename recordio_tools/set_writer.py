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
    {"train.rec", "train.idx", "property", "train.lst", MANIFEST, "images_per_identity.png", VIEW, *OPEN_LISTS.values()}
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

    Attributes:
        images: Number of images written so far.
    """

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self._folder = folder
        self._size = height, width
        self._starts: list[int] = []
        self.images = 0
        self._files = contextlib.ExitStack()
        self._listing = self._files.enter_context((folder / "train.lst").open("wb"))
        self._writer = self._files.enter_context(Writer(folder / "train.rec"))

    def add(self, label: int, image: bytes | memoryview, source: str, more: Sequence[float] = (1.0,)) -> None:
        """Append an image.

        Args:
            label: The class: that of the image before, or the next whole number, from 0.
            image: The encoded image; it is copied as it is.
            source: Where it came from; its folder is the person's name.
            more: The labels after the class; by default face2rec2's "aligned".

        Raises:
            SourceError: `source` holds a tab or a line break.
            LimitError: The set grows past what its float32 labels can number.
        """
        key = self.images + 1
        if label == len(self._starts):
            self._starts.append(key)
        assert label == len(self._starts) - 1, "identities come one after another"
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
        first = self.images + 1
        steps = np.diff(labels, prepend=len(self._starts) - 1)
        assert ((steps == 0) | (steps == 1)).all(), "identities come one after another"
        self._starts += (first + np.flatnonzero(steps)).tolist()
        self._listing.write(lines)
        self._writer.write_framed(range(first, first + len(labels)), data, offsets)
        self.images += len(labels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is None:
            with self._files:  # writes the files' ends, or removes them if the tables cannot be written
                self._write_tables()
        else:
            self._files.__exit__(kind, *rest)

    def _write_tables(self) -> None:
        first = self.images + 1
        classes = len(self._starts)
        self._writer.write_range(0, first, first + classes)
        self._writer.write_ranges(range(first, first + classes), [*self._starts, first])
        height, width = self._size
        (self._folder / "property").write_text(f"{classes},{height},{width}\n")


def new_set(out: Path, *, force: bool) -> contextlib.AbstractContextManager[Path]:
    """A folder to write a set into; it becomes `out`, whole or not at all. See `whole_folder`."""
    return whole_folder(out, SET_FILES, MANIFEST, force=force)


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
