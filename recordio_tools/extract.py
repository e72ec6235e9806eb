"""Single records out of a file: an image as the file that it is, or a record's bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from recordio_tools._made_folder import close_folder, made_folder
from recordio_tools.contents import Entry, describe, each_once, select, suffix_of
from recordio_tools.errors import DamageError, SourceError
from recordio_tools.faces import FaceSet, open_records
from recordio_tools.header import unpack
from recordio_tools.index import Int64s
from recordio_tools.set_writer import SET_FILES
from recordio_tools.view import view_folder
from recordio_tools.whole import refuse_source, write_whole


class Selection:
    """Some records of a record file, in the order in which they were asked for, each once.

    >>> chosen = Selection("faces", keys=["17", "100-110"])
    >>> chosen.write("photos")

    Args:
        source: A face set's folder, a view's, or any record file.
        keys: Keys or ranges of keys, see `contents.select`; a view has those that its images have in its records.
        positions: Positions among a face set's images, from 0; a view's are its own.
        identities: Labels of a face set, a view's own; all of an identity's images.
        raw: Take the whole record, header and labels included, of any kind of record.

    Raises:
        SourceError: The file is not there, nothing was asked for, or there is no such position or identity.
        MissingKeyError: The index holds no such key.
        FaceSetError, DamageError, IndexMismatchError: The source is broken.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        keys: Sequence[str] = (),
        positions: Sequence[int] = (),
        identities: Sequence[int] = (),
        raw: bool = False,
    ) -> None:
        self._given, self._raw = view_folder(Path(source)) or Path(source), raw
        self.reader = open_records(self._given)
        chosen = [select(self.reader, keys)]
        if positions or identities:
            chosen.append(_places_of_images(FaceSet(source), positions, identities))
        self._places = each_once(np.concatenate(chosen))
        if not len(self._places):
            raise SourceError(f"{source}: no record was asked for; name keys, a position or an identity")

    def __len__(self) -> int:
        return len(self._places)

    def entries(self) -> list[Entry]:
        """What the records are."""
        return list(describe(self.reader, self._places))

    def content(self, number: int) -> memoryview:
        """The bytes of record `number` of the selection: the image's, or all of them where it is `raw`.

        Raises:
            SourceError: The record holds no image.
            DamageError: The record breaks the format.
        """
        place = int(self._places[number])
        payload = self.reader.view_at(place)
        if self._raw:
            return payload
        try:
            _, content = unpack(payload)
        except DamageError as error:
            raise self._no_image(place, str(error)) from None
        if not len(content):
            raise self._no_image(place, "nothing behind its header")
        return content

    def write_file(self, out: str | Path, *, force: bool = False) -> None:
        """The one record of the selection as the file `out`, whole or not at all.

        Raises:
            SourceError: There are several, or `out` is there already and not to be replaced.
        """
        out = Path(out)
        if len(self) != 1:
            raise SourceError(f"{out}: {len(self):,} records do not fit into one file; give a folder")
        if out.is_dir() and not out.is_symlink():
            raise SourceError(f"{out}: is a folder, expected the name of a file")
        if self._given.is_dir() and out.resolve().is_relative_to(self._given.resolve()):
            raise SourceError(f"{out}: lies in the source itself ({self._given}); give another place")
        if out.name in SET_FILES or out.suffix in (".rec", ".idx"):
            raise SourceError(f"{out}: is the name of a record file or of a face set's own file; give another")
        if (out.exists() or out.is_symlink()) and not force:
            raise SourceError(f"{out}: already there; replace it with --force, or give another name")
        write_whole(out, bytes(self.content(0)))

    def write(
        self,
        out: str | Path,
        *,
        force: bool = False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[str]:
        """The records as the files of the folder `out`, whole or not at all; the files' names.

        A file is called after its key, with the suffix of what it holds: `17.jpg`, `18.png`, `19.bin`. The
        folder's `manifest.json` tells what the headers say.

        Args:
            out: A new or empty folder, or, with `force`, one that this function made.
            force: Replace it.
            progress: Called with (records done, records in all).

        Raises:
            SourceError: `out` may not be replaced, or a record holds no image.
        """
        out = Path(out)
        refuse_source(out, self.reader.path, self._given)
        names: list[str] = []
        with made_folder(out, force=force) as folder:
            for number, entry in enumerate(self.entries()):
                content = self.content(number)
                names.append(f"{entry.key}{'.bin' if self._raw else suffix_of(content)}")
                (folder / names[-1]).write_bytes(content)
                progress(number + 1, len(self))
            files = [{"file": name, **entry.facts()} for name, entry in zip(names, self.entries(), strict=True)]
            manifest = {"format": "recordio_tools extracted records", "version": 1, "made_by": "recordio extract"}
            close_folder(folder, {**manifest, "source": str(self._given), "raw": self._raw, "files": files})
        return names

    def _no_image(self, place: int, found: str) -> SourceError:
        return SourceError(
            f"{self.reader.path}: key {self.reader.keys[place]}: found {found}, expected an image; "
            "take the record's bytes with --raw"
        )


def _places_of_images(faces: FaceSet, positions: Sequence[int], identities: Sequence[int]) -> Int64s:
    """Where the images stand in the index."""
    chosen: list[Int64s] = []
    for position in positions:
        if not 0 <= position < len(faces):
            raise SourceError(
                f"{faces.path}: position {position} was given, the set's images are 0 to {len(faces) - 1}"
            )
        chosen.append(np.array([position], np.int64))
    for label in identities:
        images = np.flatnonzero(faces.labels == label)
        if not len(images):
            raise SourceError(f"{faces.path}: no image of identity {label}, expected 0 to {faces.classes - 1}")
        chosen.append(images)
    return faces.reader.index.positions(faces.keys[np.concatenate(chosen)])
