"""Photos and videos through an extractor: order, owners, what is wrong with single ones, and what stays in memory."""

import hashlib
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.faces.extractor import Extractor
from facerec_oltr.faces.found import FoundFace
from facerec_oltr.faces.onnx_embedder import OnnxEmbedder
from facerec_oltr.faces.photos import extract_photos, find_photos
from facerec_oltr.faces.quality import QualityLimits
from facerec_oltr.faces.raw_pixels import RawPixels
from facerec_oltr.faces.video import frames
from recordio_tools.images import Image, decode_rgb, encode_rgb, fit_square

from . import networks

RNG = np.random.default_rng(0)


class Boxes:
    """A detector that finds what it is told to, by the picture's width."""

    source, fingerprint = "boxes", "b0"

    def __init__(self, by_width: dict[int, list[FoundFace]]) -> None:
        self.by_width = by_width

    def detect(self, picture: Image) -> list[FoundFace]:
        return self.by_width.get(picture.shape[1], [])


def photo(path: Path, width: int = 60, height: int = 80) -> Path:
    path.write_bytes(encode_rgb(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8), ".png", 95))
    return path


def video(path: Path, colours: list[tuple[int, int, int]], rate: int = 10, each: int = 10) -> Path:
    """Each colour (RGB) for some frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    assert writer.isOpened()
    for colour in colours:
        for _ in range(each):
            writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


def test_crops_give_what_they_always_gave(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{n}.png", 50 + n, 90 - 7 * n) for n in range(5)]
    embedder = RawPixels()
    extracted = list(extract_photos(Extractor(embedder), paths))
    for made, path in zip(extracted, paths, strict=True):
        (face,) = made.faces
        square = fit_square(decode_rgb(path.read_bytes(), str(path)), embedder.size)
        np.testing.assert_array_equal(face.vector, embedder.embed(square[None])[0])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert (made.path, made.sha256, made.owner, made.reason, made.time) == (path, digest, None, None, None)
        assert made.size is not None and face.found.box == (0, 0, *made.size)
        assert face.found.score == face.quality.inside == 1 and face.found.points is None


def test_every_face_of_a_picture_is_cut_and_embedded(tmp_path: Path) -> None:
    """A face's vector is that of its square alone, whichever picture and batch it stands in."""
    boxes = [FoundFace((0, 0, 40, 40), 0.9, None), FoundFace((50, 10, 70, 30), 0.8, None)]
    embedder = RawPixels()
    extractor = Extractor(embedder, Boxes({80: boxes, 90: boxes[:1]}))
    paths = [photo(tmp_path / f"{n}.png", 70 + 10 * (n % 3)) for n in range(70)]
    done = list(extract_photos(extractor, paths))
    assert [made.path for made in done] == paths
    assert [len(made.faces) for made in done] == [[0, 2, 1][n % 3] for n in range(70)]
    picture = cv2.cvtColor(cv2.imread(str(paths[1])), cv2.COLOR_BGR2RGB)  # type: ignore[call-overload]
    (alone,) = extractor.extract([picture])
    for one, other in zip(alone, done[1].faces, strict=True):
        np.testing.assert_array_equal(one.vector, other.vector)
    first = cv2.warpAffine(picture, np.array([[0.8, 0, 0], [0, 0.8, 0]]), (32, 32), borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(alone[0].vector, embedder.embed(np.asarray(first[None], np.uint8))[0], atol=1e-6)
    assert alone[1].quality.size == 20
    assert extractor.extract([]) == [] and extractor.extract([picture[:, :60]]) == [[]]


def test_an_extractor_has_its_embedders_facts() -> None:
    embedder = RawPixels(16)
    extractor = Extractor(embedder, Boxes({}), QualityLimits(size=99))
    for fact in ("name", "fingerprint", "dimensions", "size", "source"):
        assert getattr(extractor, fact) == getattr(embedder, fact)
    assert (extractor.detector_source, extractor.detector_fingerprint, extractor.limits.size) == ("boxes", "b0", 99)
    assert Extractor(embedder, Boxes({})).limits == QualityLimits()
    assert Extractor(embedder).limits == QualityLimits.none()


def test_an_embedder_that_breaks_its_promise_is_stopped() -> None:
    class Long(RawPixels):
        def embed(self, faces: np.ndarray) -> np.ndarray:
            return super().embed(faces) * 2

    with pytest.raises(DataError, match="not 1 vectors of length 1 in 1024 dimensions"):
        Extractor(Long()).extract([np.zeros((9, 9, 3), np.uint8)])


def test_what_cannot_be_read_carries_a_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(encode_rgb(np.zeros((64, 64, 3), np.uint8), ".jpg", 90)[:-50])
    (tmp_path / "film.mp4").write_bytes(b"no film")
    strange = tmp_path / os.fsdecode(b"caf\xe9.png")
    paths = [tmp_path / "no.png", photo(strange), torn, tmp_path, tmp_path / "film.mp4", photo(tmp_path / "b.png")]
    done = list(extract_photos(Extractor(RawPixels()), paths))
    assert [made.path for made in done] == paths
    assert [made.reason is None for made in done] == [False, True, False, False, False, True]
    for made, said in zip(
        done, ("No such file", "", "breaks off", "directory", "cannot be read as a video", ""), strict=True
    ):
        if made.reason is not None:
            assert said in made.reason and str(made.path) in made.reason and "\n" not in made.reason
            assert made.faces == () and made.size is None
    assert done[2].sha256 == hashlib.sha256(torn.read_bytes()).hexdigest() and done[0].sha256 == ""


def test_owned_photos_are_not_looked_at_and_the_owner_is_asked_by_the_caller(tmp_path: Path) -> None:
    paths = [photo(tmp_path / f"{n}.png") for n in range(4)]
    owned = hashlib.sha256(paths[2].read_bytes()).hexdigest()
    asked: list[int] = []

    def owner_of(sha256: str) -> str | None:
        asked.append(threading.get_ident())  # a SQLite connection belongs to its thread
        return "anna" if sha256 == owned else None

    done = list(extract_photos(Extractor(RawPixels()), paths, owner_of=owner_of))
    assert [(made.owner, len(made.faces), made.size is None) for made in done] == [
        ("anna", 0, True) if n == 2 else (None, 1, False) for n in range(4)
    ]
    assert set(asked) == {threading.get_ident()} and len(asked) == 4


def test_no_more_is_read_than_is_wanted(tmp_path: Path) -> None:
    """Paths are taken as photos are: two ahead of a batch, whatever number there is."""
    path, taken = photo(tmp_path / "a.png"), []

    def endless() -> Iterator[Path]:
        while True:
            taken.append(1)
            yield path

    photos = extract_photos(Extractor(RawPixels()), endless())
    next(photos)
    assert len(taken) <= 36
    threads = threading.active_count()
    assert isinstance(photos, Generator)
    photos.close()
    assert threading.active_count() < threads


def test_photos_and_videos_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.AVIF", "a.gif", "notes.txt", "deep/film.MP4", "c.png"):
        (tmp_path / name).touch()
    assert [path.name for path in find_photos([tmp_path])] == ["a.gif", "b.AVIF", "c.png", "film.MP4"]
    with pytest.raises(DataError, match="found no photo in this folder"):
        (tmp_path / "empty").mkdir()
        find_photos([tmp_path / "empty"])


def test_frames_come_every_so_often_with_their_times_and_colours(tmp_path: Path) -> None:
    film = video(tmp_path / "100%d film.avi", [(250, 0, 0), (0, 250, 0), (0, 0, 250)])  # three seconds
    seen = list(frames(film, 0.5))
    assert [seconds for seconds, _ in seen] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.01)
    for (_, picture), channel in zip(seen, (0, 0, 1, 1, 2, 2), strict=True):
        assert picture.shape == (48, 64, 3) and picture[..., channel].min() > 230
        assert np.delete(picture, channel, axis=2).max() < 20
    assert len(list(frames(film, 0))) == 30
    assert len(list(frames(film, 60))) == 1
    with pytest.raises(DataError, match="every -1 seconds"):
        next(frames(film, -1))


def test_a_film_among_photos_is_one_result_a_frame(tmp_path: Path) -> None:
    film = video(tmp_path / "film.avi", [(250, 0, 0), (0, 250, 0)])
    paths = [photo(tmp_path / "a.png"), film, photo(tmp_path / "b.png")]
    done = list(extract_photos(Extractor(RawPixels()), paths))
    assert [made.path.name for made in done] == ["a.png", "film.avi", "film.avi", "b.png"]
    assert [made.time for made in done] == [None, pytest.approx(0), pytest.approx(1), None]
    assert len({made.sha256 for made in done}) == 4 and done[1].size == (64, 48)
    known = {done[2].sha256: "anna"}
    again = list(extract_photos(Extractor(RawPixels()), paths, owner_of=known.get))
    assert [made.owner for made in again] == [None, None, "anna", None]
    assert [len(made.faces) for made in again] == [1, 1, 0, 1]


@pytest.mark.parametrize("name", ["torn", "text", "empty", "photo"])
def test_a_film_that_is_none_says_so_and_nothing_else(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.mp4"
    data = video(tmp_path / "whole.avi", [(250, 0, 0)]).read_bytes()
    film.write_bytes({"torn": data[:300], "text": b"hello\n" * 99, "empty": b"", "photo": b"\0" * 5000}[name])
    with pytest.raises(DataError, match=r"film\.mp4: .*convert it to MP4") as caught:
        list(frames(film))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(DataError, match="No such file"):
        list(frames(tmp_path / "no.mp4"))


def test_the_whole_way_with_a_tiny_detector_and_a_tiny_network(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "d.onnx").write_bytes(networks.scrfd())
    (tmp_path / "pack" / "e.onnx").write_bytes(networks.embedder())
    from facerec_oltr.models import open_extractor

    extractor = open_extractor(str(tmp_path / "pack"))
    assert isinstance(extractor.embedder, OnnxEmbedder)
    picture = np.full((200, 300, 3), 20, np.uint8)
    picture[80:110, 100:130] = 255
    (tmp_path / "a.png").write_bytes(encode_rgb(picture, ".png", 95))
    (made,) = extract_photos(extractor, [tmp_path / "a.png"])
    assert made.faces and made.size == (300, 200)
    for face in made.faces:
        assert np.linalg.norm(face.vector) == pytest.approx(1, abs=1e-5)
        assert 80 < face.found.box[0] + face.found.width / 2 < 150
        assert face.quality.yaw is not None
