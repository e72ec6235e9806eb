"""LFW's list of pairs (`pairs.txt`) and a folder of photos → a verification pack.

    folds TAB n                      10 TAB 300; or n alone, for one fold
    name TAB i TAB j                 n pairs of one person's photos
    name TAB i TAB name TAB j        n pairs of two persons' photos, and so on for each fold

Photo i of Name is `Name/Name_0001.jpg`, with any suffix of an image.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools.errors import SourceError
from recordio_tools.images import IMAGE_SUFFIXES, decode_rgb, encode_rgb, fit_square
from recordio_tools.pack_folder import new_pack, write_pack
from recordio_tools.packing import Format
from recordio_tools.pairs import source_of
from recordio_tools.verification import VerificationPack, gather

_NUMBER = re.compile("[0-9]{1,9}")
_LONGEST_LINE = 10_000


@dataclass(frozen=True, slots=True)
class PairList:
    """What a list says: two photos a pair, each as `Name/Name_0001` without its suffix."""

    folds: int
    photos: tuple[str, ...]
    same: NDArray[np.bool_]


def read_pair_list(path: str | Path) -> PairList:
    """Read a list in LFW's format.

    Raises:
        SourceError: It is not there, a line is not in the format, or the lines are not those that the first
            line promises.
    """
    path = Path(path)
    lines = _lines(path)
    first = next(lines, "")
    try:
        numbers = [_whole(field) for field in first.split()]
        if not (1 <= len(numbers) <= 2 and all(numbers)):
            raise ValueError
    except ValueError:
        raise SourceError(
            f"{path}: line 1: found {first[:80]!r}, expected the number of folds and of pairs: 10 TAB 300"
        ) from None
    folds, each = (1, *numbers)[-2:]
    photos: list[str] = []
    same: list[bool] = []
    for number, line in enumerate(lines, 2):
        try:
            one, other, is_same = _parse(line)
        except ValueError as error:
            raise SourceError(f"{path}: line {number:,}: found {line[:80]!r}, {error}") from None
        photos += one, other
        same.append(is_same)
    if len(same) != 2 * folds * each:
        raise SourceError(
            f"{path}: lists {len(same):,} pairs, expected {2 * folds * each:,} as its first line says; get it again"
        )
    flags = np.array(same, bool)
    astray = np.flatnonzero(flags.reshape(folds, 2, each) != [[True], [False]])
    if len(astray):
        raise SourceError(
            f"{path}: line {astray[0] + 2:,}: found a pair of {'the same person' if flags[astray[0]] else 'two'}, "
            f"expected {each:,} pairs of the same person, then {each:,} of two, in each fold"
        )
    return PairList(folds, tuple(photos), flags)


def make_pack(
    pair_list: str | Path,
    root: str | Path,
    out: str | Path,
    *,
    size: int | None = None,
    image_format: Format = "jpg",
    quality: int = 95,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VerificationPack:
    """Make the pack `out` from a list of pairs, whole or not at all.

    Args:
        pair_list: As `read_pair_list` reads it.
        root: One folder of photos a person.
        out: The pack's folder; made with its parents.
        size: Side of the square images, see `fit_square`; None copies the files as they are.
        image_format: Of fitted images: "jpg", or "png" to keep every pixel.
        quality: Of the JPEG, 1 to 100.
        force: Replace `out` if this package wrote a pack there.
        progress: Called with (photos read, photos in all).

    Raises:
        SourceError: The list or a photo is missing or broken, or `out` may not be replaced.
    """
    pair_list, root = Path(pair_list), Path(root)
    if size is not None and not 1 <= size <= 4096:
        raise SourceError(f"size {size} was given, expected 1 to 4096 pixels")
    if image_format not in ("jpg", "png"):
        raise SourceError(f"the image format {image_format!r} is unknown, expected jpg or png")
    if not 1 <= quality <= 100:
        raise SourceError(f"quality {quality} was given, expected 1 to 100")
    if not root.is_dir():
        raise SourceError(f"{root}: is not a folder, expected one with a sub-folder of photos a person")
    listed = read_pair_list(pair_list)
    paths = {photo: find_photo(root, photo, pair_list) for photo in dict.fromkeys(listed.photos)}
    source = source_of(pair_list) | {"folds": listed.folds, "size": size}
    if size is not None:
        source |= {"image_format": image_format, "quality": quality if image_format == "jpg" else None}
    with new_pack(Path(out), force=force) as folder:
        encoded: dict[str, bytes] = {}
        for done, (photo, path) in enumerate(paths.items(), 1):
            data = path.read_bytes()
            pixels = decode_rgb(data, str(path))  # kept as it is or not, a photo must be one
            fitted = data if size is None else encode_rgb(fit_square(pixels, size), f".{image_format}", quality)
            encoded[photo] = fitted
            progress(done, len(paths))
        made = gather(pair_list, (encoded[photo] for photo in listed.photos), listed.same)
        write_pack(made, folder, "recordio pairs make", source)
    return made


def _lines(path: Path) -> Iterator[str]:
    """The lines, in turn."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "not there"
        raise SourceError(f"{path}: {what}; expected a list of pairs as LFW's pairs.txt")
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise SourceError(f"{path}: line {number:,}: is longer than a pair can be; expected LFW's pairs.txt")
            yield line.strip()


def _parse(line: str) -> tuple[str, str, bool]:
    """(photo, photo, same) of one line; ValueError says what is wrong with it."""
    fields = line.split("\t") if "\t" in line else line.split()
    if len(fields) == 3:
        return _photo(fields[0], fields[1]), _photo(fields[0], fields[2]), True
    if len(fields) != 4:
        raise ValueError("expected: name TAB i TAB j, or name TAB i TAB name TAB j")
    if fields[0] == fields[2]:
        raise ValueError("expected two persons where a line has two names")
    return _photo(fields[0], fields[1]), _photo(fields[2], fields[3]), False


def _photo(name: str, number: str) -> str:
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ValueError("expected a person's name that is the name of a folder")
    return f"{name}/{name}_{_whole(number):04d}"


def _whole(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("expected whole numbers for the photos")
    return int(text)


def find_photo(root: Path, photo: str, pair_list: Path) -> Path:
    """The one image file of a photo."""
    stem = root / photo
    found = [path for suffix in sorted(IMAGE_SUFFIXES) if (path := stem.with_name(stem.name + suffix)).is_file()]
    if len(found) != 1:
        what = " and ".join(path.name for path in found) if found else "not there"
        raise SourceError(f"{stem}.jpg: {what}, expected one photo, which {pair_list} names; check the folder")
    return found[0]
