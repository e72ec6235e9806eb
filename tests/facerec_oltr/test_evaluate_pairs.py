"""Embedders on verification packs: by hand on four photos, and through the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.faces.pairs import measure_pairs, similarities
from facerec_oltr.faces.raw_pixels import RawPixels
from recordio_tools.images import encode_rgb
from recordio_tools.pack_folder import write_pack
from recordio_tools.verification import VerificationPack, gather

from .cli.test_door import facerec


@pytest.fixture
def pack(tmp_path: Path) -> VerificationPack:
    """Ten pairs of two people who look like themselves, in turn the same and not; an image stands in many pairs."""
    rng = np.random.default_rng(0)
    faces = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(2)]
    photos = [[encode_rgb(np.roll(face, 20 * k) // 2 + face // 2, ".png", 0) for k in range(2)] for face in faces]
    entries: list[bytes] = []
    for pair in range(10):
        one = pair // 2 % 2
        entries += [photos[one][0], photos[one][1] if pair % 2 == 0 else photos[1 - one][0]]
    return gather(tmp_path / "pack", entries, np.arange(10) % 2 == 0)


def test_each_pairs_cosine_is_that_of_its_two_images_embedded_alone(pack: VerificationPack) -> None:
    embedder, done = RawPixels(), []
    scores = similarities(embedder, pack, lambda now, total: done.append((now, total)))
    assert done[-1] == (4, 4)  # four different images in twenty places
    for (a, b), score in zip(pack.pairs.tolist(), scores, strict=True):
        one, other = (embedder.embed(np.stack([_fitted(pack, number, embedder.size)]))[0] for number in (a, b))
        assert score == pytest.approx(float(one @ other), abs=1e-6)


def write(pack: VerificationPack, folder: Path) -> None:
    folder.mkdir()
    write_pack(pack, folder, "a test", {})


def _fitted(pack: VerificationPack, number: int, size: int) -> Any:
    from recordio_tools.images import fit_square

    return fit_square(pack.image(number), size)


def test_people_who_look_like_themselves_are_told_apart(pack: VerificationPack) -> None:
    figures = measure_pairs(similarities(RawPixels(), pack), pack.same, folds=5)
    assert figures.pairs == 10
    assert figures.accuracy.mean == 1
    assert figures.eer == 0
    assert [point.tar for point in figures.points] == [1, 1, 1]
    assert [point.threshold.measurable for point in figures.points] == [False, False, False]  # five impostor pairs


def test_the_command_says_it_as_a_table_and_as_json(pack: VerificationPack, tmp_path: Path) -> None:
    write(pack, tmp_path / "made")
    shown = facerec("evaluate-pairs", tmp_path / "made", "--model", "raw_pixels", "--folds", 5)
    assert shown.returncode == 0, shown.stderr
    assert "100.00 ± 0.00" in shown.stdout
    assert "too few impostor pairs" in shown.stderr
    (row,) = json.loads(
        facerec("evaluate-pairs", tmp_path / "made", "--model", "raw_pixels", "--folds", 5, "--json").stdout
    )
    assert (row["model"], row["pairs"], row["accuracy"], row["eer"]) == ("raw pixels", 10, 1.0, 0.0)
    assert [point["far"] for point in row["tar_at_far"]] == [0.1, 0.01, 0.001]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.bin", "--model", "raw_pixels"), "error: none.bin: not there; expected a verification pack"),
        (("made", "--model", "none"), "error: none: found no such model"),
        (("made", "--model", "raw_pixels", "--folds", "3"), "error: 10 pairs and 3 folds, expected"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    arguments: tuple[str, ...], said: str, pack: VerificationPack, tmp_path: Path
) -> None:
    write(pack, tmp_path / "made")
    result = facerec("evaluate-pairs", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(said)
    assert "Traceback" not in result.stderr
