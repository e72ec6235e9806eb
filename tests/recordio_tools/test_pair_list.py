import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools.errors import SourceError
from recordio_tools.images import decode_rgb, encode_rgb, fit_square, read_rgb
from recordio_tools.pair_list import make_pack, read_pair_list
from recordio_tools.pairs import open_pack

# two folds of two pairs of one person and two of two
LIST = """2\t2
Ana\t1\t2
Ana\t2\t10
Ana\t1\tBo_B\t1
Bo_B\t2\tAna\t2
Bo_B\t1\t2
Ana\t1\t10
Ana\t10\tBo_B\t2
Cy\t1\tAna\t1
"""
PHOTOS = {"Ana": (1, 2, 10), "Bo_B": (1, 2), "Cy": (1,)}
NAMED = "A1 A2 A2 A10 A1 B1 B2 A2 B1 B2 A1 A10 A10 B2 C1 A1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos of 8 × 6 pixels laid out as LFW's; one is a JPEG, and Cy's is Ana's first."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    for name, numbers in PHOTOS.items():
        (root / name).mkdir(parents=True)
        for number in numbers:
            suffix = ".jpg" if (name, number) == ("Bo_B", 1) else ".png"
            pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            (root / name / f"{name}_{number:04d}{suffix}").write_bytes(encode_rgb(pixels, suffix, 95))
    shutil.copy(root / "Ana" / "Ana_0001.png", root / "Cy" / "Cy_0001.png")
    return root


@pytest.fixture
def pair_list(tmp_path: Path) -> Path:
    (tmp_path / "pairs.txt").write_text(LIST)
    return tmp_path / "pairs.txt"


def photo(root: Path, short: str) -> Path:
    name = {"A": "Ana", "B": "Bo_B", "C": "Cy"}[short[0]]
    return next((root / name).glob(f"{name}_{int(short[1:]):04d}.*"))


def test_reads_the_list(pair_list: Path) -> None:
    listed = read_pair_list(pair_list)
    assert listed.folds == 2
    assert listed.photos[:8] == (
        "Ana/Ana_0001", "Ana/Ana_0002", "Ana/Ana_0002", "Ana/Ana_0010",
        "Ana/Ana_0001", "Bo_B/Bo_B_0001", "Bo_B/Bo_B_0002", "Ana/Ana_0002",
    )  # fmt: skip
    assert listed.same.tolist() == [True, True, False, False] * 2


def test_reads_one_fold_spaces_and_other_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes("1\r\nJosé 1 2\r\nJosé 1 Ümit 3".encode())
    listed = read_pair_list(path)
    assert (listed.folds, listed.photos[-1], listed.same.tolist()) == (1, "Ümit/Ümit_0003", [True, False])


def test_keeps_the_files_as_they_are(pair_list: Path, root: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    out = tmp_path / "new" / "pack"
    made = make_pack(pair_list, root, out, progress=lambda *step: steps.append(step))
    assert steps == [(number, 6) for number in range(1, 7)]
    back = open_pack(out)
    assert back.fingerprint() == made.fingerprint()
    assert [back.images[number] for number in back.pairs.ravel()] == [
        photo(root, short).read_bytes() for short in NAMED.split()
    ]
    assert len(back.images) == 5  # Cy's photo is Ana's
    assert back.same.tolist() == [True, True, False, False] * 2
    source = json.loads((out / "manifest.json").read_text())["source"]
    assert (source["name"], source["folds"], source["size"]) == ("pairs.txt", 2, None)


@pytest.mark.parametrize(("image_format", "start"), [("png", b"\x89PNG"), ("jpg", b"\xff\xd8\xff")])
def test_fits_to_a_size(pair_list: Path, root: Path, tmp_path: Path, image_format: Any, start: bytes) -> None:
    made = make_pack(pair_list, root, tmp_path / "pack", size=16, image_format=image_format, quality=90)
    for number, short in zip(made.pairs.ravel().tolist(), NAMED.split(), strict=True):
        fitted = fit_square(read_rgb(photo(root, short)), 16)
        assert made.images[number].startswith(start)
        np.testing.assert_array_equal(
            made.image(number), decode_rgb(encode_rgb(fitted, f".{image_format}", 90), "expected")
        )
    make_pack(pair_list, root, tmp_path / "again", size=16, image_format=image_format, quality=90)
    for name in ("manifest.json", "pairs.idx", "pairs.rec"):
        assert (tmp_path / "pack" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    source = json.loads((tmp_path / "pack" / "manifest.json").read_text())["source"]
    assert source["quality"] == (90 if image_format == "jpg" else None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: found '', expected the number of folds and of pairs"),
        ("ten\t300\n", "line 1: found"),
        ("0\t300\n", "line 1: found"),
        ("1\t2\t3\n", "line 1: found"),
        ("-1\t2\n", "line 1: found"),
        ("9" * 9_000 + "\n", "line 1: found"),
        ("999999999\t999999999\n" + LIST[4:], "lists 8 pairs, expected 1,999,999,996,000,000,002"),
        ("2\t3\n" + LIST[4:], "lists 8 pairs, expected 12"),
        (LIST[: LIST.rindex("Cy")], "lists 7 pairs, expected 8"),
        (LIST + "Ana\t1\t2\n", "lists 9 pairs, expected 8"),
        ("1\t4\n" + LIST[4:], "line 4: found a pair of two, expected 4 pairs of the same person, then 4"),
        (LIST.replace("Cy\t1\tAna\t1", "Cy\t1\t1"), "line 9: found a pair of the same person, expected 2 pairs"),
        (LIST.replace("Cy\t1\tAna\t1", "Cy\t1\tCy\t1"), "line 9: found 'Cy\\t1\\tCy\\t1', expected two persons"),
        (LIST.replace("Cy\t1\t", "Cy\t"), "line 9: found 'Cy\\tAna\\t1', expected whole numbers"),
        (LIST.replace("Cy\t1\t", "Cy\t1\t2\t"), "line 9: found"),
        (LIST.replace("Cy\t1\t", "Cy\t²\t"), "expected whole numbers"),
        (LIST.replace("Cy\t1\t", "Cy\t1234567890\t"), "expected whole numbers"),
        (LIST.replace("Cy", ".."), "line 9: found '..\\t1\\tAna\\t1', expected a person's name"),
        (LIST.replace("Cy", "../Ana"), "expected a person's name that is the name of a folder"),
        (LIST.replace("Cy", "/etc"), "expected a person's name"),
        (LIST.replace("Cy", "a\\b"), "expected a person's name"),
        (LIST.replace("Cy", "a\0b"), "expected a person's name"),
        (LIST.replace("Cy", ""), "line 9: found"),
        (LIST + "\n", "line 10: found ''"),
        (LIST.replace("Cy", "x" * 20_000), "line 9: is longer than"),
        ("\0" * 50_000, "line 1: is longer than"),
    ],
)
def test_lists_that_cannot_be(root: Path, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        make_pack(path, root, tmp_path / "new" / "out")
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pairs.txt", "photos"]


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda root: (root / "Cy" / "Cy_0001.png").unlink(), "Cy/Cy_0001.jpg: not there"),
    "twice": (
        lambda root: shutil.copy(root / "Cy" / "Cy_0001.png", root / "Cy" / "Cy_0001.bmp"),
        "Cy_0001.bmp and Cy_0001.png, expected one photo",
    ),
    "empty": (lambda root: (root / "Cy" / "Cy_0001.png").write_bytes(b""), "Cy_0001.png: 0 bytes"),
    "broken": (lambda root: (root / "Ana" / "Ana_0010.png").write_bytes(b"\x89PNG"), "Ana_0010.png: 4 bytes"),
    "no folder": (lambda root: shutil.rmtree(root), "photos: is not a folder"),
}


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.parametrize("size", [None, 16])
def test_photos_that_cannot_be(pair_list: Path, root: Path, tmp_path: Path, name: str, size: int | None) -> None:
    spoil, said = SPOILT[name]
    spoil(root)
    with pytest.raises(SourceError) as caught:
        make_pack(pair_list, root, tmp_path / "new" / "out", size=size)
    assert said in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "size 0"),
        ({"size": 4097}, "size 4097"),
        ({"image_format": "gif"}, "gif"),
        ({"quality": 0}, "0 was"),
    ],
)
def test_options_that_cannot_be(pair_list: Path, root: Path, tmp_path: Path, options: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        make_pack(pair_list, root, tmp_path / "out", **options)
    for path in (tmp_path, tmp_path / "no.txt"):
        with pytest.raises(SourceError, match="expected a list of pairs"):
            make_pack(path, root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_taken_is_told_before_the_work(pair_list: Path, root: Path, tmp_path: Path) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError

    with pytest.raises(SourceError, match="did not write"):
        make_pack(pair_list, root, root, force=True, progress=never)
