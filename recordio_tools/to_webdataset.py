"""A face set → tar shards as WebDataset reads them: consecutive members that share their name up to the first dot.

    00000017.jpg    the image as it is stored (.png, or .bin where it is neither)
    00000017.cls    the class, as text
    00000017.json   with `details`: name, path in train.lst, label, key, id

The folder's `manifest.json` lists the shards, and is an index that WebDataset's `wids` opens too. Images come in
the set's order, one identity after another: for training shuffle the set first (`recordio shuffle`), since a
reader of shards shuffles little.

To read the shards, one line of each:

    webdataset.WebDataset("shards/faces-{000000..000012}.tar").decode("rgb8").to_tuple("jpg;png", "cls")
    wids.ShardListDataset("shards/manifest.json")
"""

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from recordio_tools._made_folder import close_folder, made_folder
from recordio_tools.contents import suffix_of
from recordio_tools.errors import SourceError
from recordio_tools.faces import FaceSet
from recordio_tools.set_writer import MANIFEST
from recordio_tools.whole import refuse_source

DEFAULT_NAME = "faces-%06d.tar"
DEFAULT_SIZE = 10**9
_BLOCK = tarfile.BLOCKSIZE
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile("([0-9]{1,12}(?:[.][0-9]{1,6})?) *([KMGT]?)B?", re.IGNORECASE)
_NAME = re.compile("[^%/]*%(0[0-9]{1,2})?d[^%/]*")


def to_webdataset(
    source: str | Path,
    pattern: str | Path,
    *,
    shard_bytes: int = DEFAULT_SIZE,
    shard_images: int | None = None,
    details: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the shards of `source` into a folder, whole or not at all, and return the manifest.

    The same source and options give the same bytes: members have no time, no owner and the mode 0644.

    Args:
        source: A set's folder or record file.
        pattern: `FOLDER/NAME-%06d.tar`, or a folder alone, whose shards are then called `faces-%06d.tar`.
        shard_bytes: Most bytes of a shard; one with a single image may be larger.
        shard_images: Most images of a shard.
        details: Add a `.json` member for each image.
        force: Replace the folder if this function made it.
        progress: Called with (images done, images in all).

    Raises:
        SourceError: The source is missing or has no image, the pattern or a limit makes no sense, or the folder may
            not be replaced.
        DamageError, FaceSetError, IndexMismatchError: The source is broken.
    """
    out, name = split_pattern(pattern)
    if shard_bytes < 1 or (shard_images is not None and shard_images < 1):
        raise SourceError(
            f"shards of {shard_bytes:,} bytes and {shard_images} images were asked for, expected 1 or more of each"
        )
    faces = FaceSet(source)
    if not len(faces):
        raise SourceError(f"{source}: no image in it, expected some to write out")
    refuse_source(out, faces.reader.path, Path(source))
    with made_folder(out, force=force) as folder:
        shards = _Shards(folder, name, shard_bytes, shard_images or len(faces))
        try:
            for position in range(len(faces)):
                shards.add(_members(faces, position, details))
                progress(position + 1, len(faces))
        finally:
            shards.close()
        manifest = _manifest(faces, str(source), details, shards.written)
        close_folder(folder, manifest)
    return manifest


def split_pattern(pattern: str | Path) -> tuple[Path, str]:
    """(folder, name of a shard with one %06d in it).

    Raises:
        SourceError: There is no such name.
    """
    path = Path(pattern)
    if "%" not in path.name:
        return path, DEFAULT_NAME
    if not _NAME.fullmatch(path.name) or path.name % 0 == MANIFEST or path.name.startswith("."):
        raise SourceError(f"{pattern}: the name {path.name!r} is no pattern, expected FOLDER/NAME-%06d.tar")
    return path.parent, path.name


def bytes_of(text: str) -> int:
    """How many bytes `1GB`, `500 MB` or `12345` are; units of a thousand.

    Raises:
        SourceError: It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise SourceError(f"size {text[:40]!r} was given, expected a number of bytes as 1GB or 500MB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


class _Shards:
    """Tar files one after another, each begun when the one before is full."""

    def __init__(self, folder: Path, name: str, most_bytes: int, most_images: int) -> None:
        self._folder, self._name = folder, name
        self._most_bytes, self._most_images = most_bytes, most_images
        self._tar: BinaryIO | None = None
        self._bytes = self._images = 0
        self.written: list[dict[str, Any]] = []

    def add(self, members: list[tuple[str, bytes]]) -> None:
        """One image's members, which stay together."""
        size = sum(_BLOCK + _padded(len(content), _BLOCK) for _, content in members)
        full = self._images == self._most_images or _tar_size(self._bytes + size) > self._most_bytes
        if self._tar is None or full:
            self.close()
            path = self._folder / (self._name % len(self.written))
            self._tar = path.open("xb")
        for name, content in members:  # TarFile.addfile would write the same at half the speed
            member = tarfile.TarInfo(name)  # no time, no owner, mode 0644
            member.size = len(content)
            self._tar.writelines((member.tobuf(tarfile.USTAR_FORMAT), content, bytes(-len(content) % _BLOCK)))
        self._bytes += size
        self._images += 1

    def close(self) -> None:
        """Finish the shard that is open, if one is."""
        if self._tar is None:
            return
        with self._tar as tar:
            tar.write(bytes(_tar_size(self._bytes) - self._bytes))
        # the names of these three are those of a wids index
        shard = {"url": self._name % len(self.written), "nsamples": self._images, "filesize": _tar_size(self._bytes)}
        self.written.append(shard)
        self._tar = None
        self._bytes = self._images = 0


def _members(faces: FaceSet, position: int, details: bool) -> list[tuple[str, bytes]]:
    header, content = faces.record(position)
    key, label = int(faces.keys[position]), int(faces.labels[position])
    members = [(f"{key:08}{suffix_of(content)}", bytes(content)), (f"{key:08}.cls", b"%d" % label)]
    if details:
        name = faces.names[label] if faces.names else None
        path = faces.paths[position] if faces.paths else None
        facts = {"key": key, "label": label, "name": name, "path": path, "id": header.id}
        members.append((f"{key:08}.json", json.dumps(facts).encode()))
    return members


def _tar_size(members: int) -> int:
    """Bytes of a tar file: its members, two blocks of zeros, filled up to whole records."""
    return _padded(members + 2 * _BLOCK, tarfile.RECORDSIZE)


def _padded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _manifest(faces: FaceSet, given: str, details: bool, shards: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": "recordio_tools WebDataset shards",
        "version": 1,
        "made_by": "recordio to-webdataset",
        "wids_version": 1,
        "source": {"path": given, "fingerprint": faces.fingerprint},
        "images": len(faces),
        "classes": faces.classes,
        "identities": int((faces.counts() > 0).sum()),
        "size": None if faces.size is None else list(faces.size),
        "details": details,
        "shardlist": shards,
    }
