"""Embedding a face set: order, batches, and a cache that is believed only if it is whole."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.faces.embed_set import embed_set
from facerec_oltr.faces.raw_pixels import RawPixels
from recordio_tools import FaceSet
from recordio_tools.images import fit_square
from recordio_tools.packing import pack_folder

from ..conftest import write_people


class Counting(RawPixels):
    """Counts what it embeds, and finds no face in dark photos."""

    def __init__(self, size: int = 8) -> None:
        super().__init__(size)
        self.embedded = 0
        self.found = np.empty(0, bool)

    def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.embedded += len(faces)
        self.found = faces.mean(axis=(1, 2, 3)) > 120
        return super().embed(faces)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    folder = tmp_path_factory.mktemp("set")
    write_people(folder / "photos", {f"p{number}": 5 for number in range(8)})
    pack_folder(folder / "photos", folder / "set", size=32, image_format="png")
    return FaceSet(folder / "set")


def test_vectors_are_those_of_each_photo_alone_in_the_order_asked(faces: FaceSet) -> None:
    embedder = Counting()
    positions = np.array([39, 0, 17, 3, *range(4, 17), *range(18, 30)])
    told: list[tuple[int, int]] = []
    made = embed_set(embedder, faces, positions, on_progress=lambda *both: told.append(both))
    for row, position in enumerate(positions.tolist()):
        alone = embedder.embed(fit_square(faces.image(position), 8)[None])
        np.testing.assert_array_equal(made.vectors[row], alone[0])
        assert made.found[row] == embedder.found[0]
    assert 0 < made.found.sum() < len(positions)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (29, 29)


def test_the_cache_keeps_what_was_embedded(faces: FaceSet, tmp_path: Path) -> None:
    first = embed_set(Counting(), faces, np.arange(10), cache=tmp_path)
    second = Counting()
    more = embed_set(second, faces, np.arange(5, 20), cache=tmp_path)
    assert second.embedded == 10  # only 10 … 19
    np.testing.assert_array_equal(more.vectors[:5], first.vectors[5:])
    np.testing.assert_array_equal(more.found[:5], first.found[5:])
    assert len(list(tmp_path.iterdir())) == 1
    other = Counting(16)
    embed_set(other, faces, np.arange(10), cache=tmp_path)
    assert other.embedded == 10  # another embedder, another file


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_cache_is_made_anew(faces: FaceSet, tmp_path: Path, damage: str) -> None:
    whole = embed_set(Counting(), faces, np.arange(10), cache=tmp_path)
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    if damage == "foreign":  # a file of another set under this name
        with np.load(file) as kept:
            np.savez(file, **{**kept, "check": np.array("0" * 64)})
    else:
        data[len(data) // 2] ^= 0xFF
        file.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b""}[damage])
    again = Counting()
    made = embed_set(again, faces, np.arange(10), cache=tmp_path)
    assert again.embedded == 10
    np.testing.assert_array_equal(made.vectors, whole.vectors)
    after = Counting()
    embed_set(after, faces, np.arange(10), cache=tmp_path)
    assert after.embedded == 0


def test_a_broken_promise_is_refused(faces: FaceSet) -> None:
    class Long(RawPixels):
        def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            return super().embed(faces) * 2

    class Wrong(RawPixels):
        def embed(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            return np.full((len(faces), self.dimensions), np.nan, np.float32)

    for embedder in (Long(8), Wrong(8)):
        with pytest.raises(DataError, match="not 3 vectors of length 1 in 64 dimensions"):
            embed_set(embedder, faces, np.arange(3))
