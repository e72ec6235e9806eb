"""Detectors: insightface's and OpenCV's own loading code on tiny networks of the real ones' form, and on the real ones.

A face is a bright spot there. Where it is, and where its box and points are, is known by construction.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.faces import _passes
from facerec_oltr.faces.detectors import open_detector
from facerec_oltr.faces.found import FoundFace
from facerec_oltr.faces.scrfd import ScrfdDetector
from facerec_oltr.faces.yunet import YunetDetector

from . import networks

KINDS: dict[str, tuple[Callable[[], bytes], type]] = {
    "scrfd": (networks.scrfd, ScrfdDetector),
    "yunet": (networks.yunet, YunetDetector),
}


@pytest.fixture(params=KINDS)
def detector(request: pytest.FixtureRequest, tmp_path: Path) -> ScrfdDetector | YunetDetector:
    data, kind = KINDS[request.param]
    (tmp_path / "tiny.onnx").write_bytes(data())
    return kind(tmp_path / "tiny.onnx")


def with_spots(shape: tuple[int, int], *spots: tuple[int, int, int]) -> np.ndarray:
    """A dark picture with white squares: middle x, middle y, half a side."""
    picture = np.full((*shape, 3), 20, np.uint8)
    for x, y, half in spots:
        picture[max(0, y - half) : y + half, max(0, x - half) : x + half] = 255
    return picture


def distinct(faces: list[FoundFace], apart: float) -> list[FoundFace]:
    kept: list[FoundFace] = []
    for face in faces:
        middle = np.array([face.box[0] + face.box[2], face.box[1] + face.box[3]]) / 2
        if all(np.abs(middle - np.array([k.box[0] + k.box[2], k.box[1] + k.box[3]]) / 2).max() > apart for k in kept):
            kept.append(face)
    return kept


@pytest.mark.parametrize("shape", [(256, 256), (176, 176), (100, 300), (3000, 200), (40, 30), (1200, 1600)])
def test_a_spot_is_found_where_it_is(detector: ScrfdDetector | YunetDetector, shape: tuple[int, int]) -> None:
    height, width = shape
    cell = max(shape) / 256 * 8  # of the overview, in pixels of the picture
    half = max(1, round(1.5 * cell))
    x, y = width // 2, height // 3
    faces = detector.detect(with_spots(shape, (x, y, half)))
    assert faces
    for face in faces:
        left, top, right, bottom = face.box
        assert abs((left + right) / 2 - x) <= half + cell and abs((top + bottom) / 2 - y) <= half + cell
        assert face.points is not None and face.points.shape == (5, 2) and face.points.dtype == np.float32
        assert 0.5 <= face.score <= 1
        # the points stand to the box as the network was made: eyes half way out, the nose in the middle
        relative = (face.points - [left, top]) / [right - left, bottom - top]
        np.testing.assert_allclose(relative, 0.5 + networks.POINTS / (2 * networks.HALF), atol=0.02)


def test_small_faces_of_large_photos_are_seen_in_the_second_pass(detector: ScrfdDetector | YunetDetector) -> None:
    """At 960 pixels a spot of 40 of 1,600 is 24, three cells; in the overview it is less than one."""
    photo = with_spots((1200, 1600), (300, 300, 20), (1300, 900, 20))
    middles = [((f.box[0] + f.box[2]) / 2, (f.box[1] + f.box[3]) / 2) for f in distinct(detector.detect(photo), 60)]
    assert len(middles) == 2
    for x, y in ((300, 300), (1300, 900)):
        assert min(max(abs(a - x), abs(b - y)) for a, b in middles) < 25


def test_a_face_that_fills_the_picture_is_found(detector: ScrfdDetector | YunetDetector) -> None:
    faces = detector.detect(np.full((500, 400, 3), 255, np.uint8))
    assert faces


def test_nothing_is_found_in_the_dark(detector: ScrfdDetector | YunetDetector) -> None:
    for shape in ((1, 1), (1, 5000), (5000, 1), (33, 47), (700, 900)):
        assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


def test_colours_reach_the_network_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both networks take BGR from their library's point of view: what they are handed is looked at."""
    red = np.zeros((256, 256, 3), np.uint8)
    red[..., 0] = 200
    for name, (data, kind) in KINDS.items():
        (tmp_path / f"{name}.onnx").write_bytes(data())
        detector, seen = kind(tmp_path / f"{name}.onnx"), []
        monkeypatch.setattr(detector, "_find", lambda canvas, seen=seen: (seen.append(canvas), np.empty((0, 15)))[1])
        detector.detect(red)
        assert seen[0][100, 100].tolist() == [0, 0, 200]


def test_the_largest_face_comes_first_and_one_face_is_told_once() -> None:
    rows = np.array(
        [[0, 0, 10, 10, 0.9], [1, 1, 11, 11, 0.8], [50, 50, 90, 90, 0.7], [49, 50, 90, 90, 0.6]], np.float32
    )
    faces = _passes.find_faces(
        np.zeros((192, 256, 3), np.uint8), lambda canvas: rows + np.array([32, 32, 32, 32, 0], np.float32)
    )
    assert [face.box for face in faces] == [(50, 50, 90, 90), (0, 0, 10, 10)]
    assert faces[0].score == pytest.approx(0.7) and faces[0].points is None


def test_boxes_that_are_none_are_left_out() -> None:
    rows = np.array([[9, 0, 5, 5, 0.9], [0, 0, np.nan, 5, 0.9], [0, 0, np.inf, 5, 0.9], [1, 1, 1, 1, 0.9]], np.float32)
    assert _passes.find_faces(np.zeros((64, 64, 3), np.uint8), lambda canvas: rows) == []


def test_sources_and_fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (data, _) in KINDS.items():
        Path(f"{name}.onnx").write_bytes(data())
    Path("other.onnx").write_bytes(networks.scrfd(points=False))
    assert open_detector("none") is None
    opened = {}
    for source in ("scrfd.onnx", "scrfd:scrfd.onnx", "yunet.onnx", "yunet:yunet.onnx", "other.onnx"):
        opened[source] = open_detector(source)
    for source, detector in opened.items():
        assert detector is not None
        again = open_detector(detector.source)
        assert again is not None and (again.source, again.fingerprint) == (detector.source, detector.fingerprint)
        assert (
            detector.source.partition(":")[2] == str(tmp_path / source.partition(":")[2] or source) or ":" not in source
        )
    prints = [detector.fingerprint for detector in opened.values() if detector]
    assert prints[0] == prints[1] and prints[2] == prints[3] and len(set(prints)) == 3
    assert opened["yunet.onnx"] is not None and opened["yunet.onnx"].source == f"yunet:{tmp_path / 'yunet.onnx'}"


def test_without_points_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "d.onnx").write_bytes(networks.scrfd(points=False))
    faces = ScrfdDetector(tmp_path / "d.onnx").detect(with_spots((256, 256), (128, 128, 12)))
    assert faces and all(face.points is None for face in faces)


def test_what_is_no_detector_is_said_in_one_line(tmp_path: Path) -> None:
    files = {
        "embedder.onnx": (networks.embedder(), "is no face detector"),
        "text.onnx": (b"hello", "not an ONNX network"),
        "empty.onnx": (b"", "not an ONNX network"),
        "fixed.onnx": (networks.scrfd(sides=(640, 640)), "takes pictures of 640 × 640 only"),
    }
    for name, (data, message) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=message) as caught:
            open_detector(str(tmp_path / name))
        assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)
    with pytest.raises(DataError, match=r"cannot be read .No such file"):
        open_detector(str(tmp_path / "no.onnx"))
    with pytest.raises(DataError, match="found no such detector"):
        open_detector("mtcnn")
    (tmp_path / "s.onnx").write_bytes(networks.scrfd())
    with pytest.raises(DataError, match="expected a YuNet detector"):
        open_detector(f"yunet:{tmp_path / 's.onnx'}")
    (tmp_path / "y.onnx").write_bytes(networks.yunet())
    with pytest.raises(DataError, match="of an SCRFD detector"):
        open_detector(f"scrfd:{tmp_path / 'y.onnx'}")


def test_loading_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, (data, kind) in KINDS.items():
        (tmp_path / f"{name}.onnx").write_bytes(data())
        kind(tmp_path / f"{name}.onnx").detect(np.zeros((50, 50, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["yunet_n_dynamic.onnx", "face_detection_yunet_2023mar.onnx", "scrfd_2.5g_bnkps.onnx"])
def test_the_real_networks_load_and_see_nobody_in_noise(
    name: str, real_models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    detector = open_detector(str(real_models / name))
    assert detector is not None
    noise = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    assert detector.detect(noise) == []
    assert capfd.readouterr() == ("", "")


def test_opencv_runs_the_real_yunet_as_onnx_runtime_does(real_models: Path) -> None:
    """The numbers of the most certain cell, decoded by hand, against OpenCV's box and points."""
    import onnxruntime

    path = real_models / "yunet_n_dynamic.onnx"
    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    ramp = np.linspace(0, 255, 320, dtype=np.float32)
    picture = np.stack([np.add.outer(ramp, ramp) / 2] * 3, axis=2).astype(np.uint8)
    for middle in ((130, 120), (190, 120)):
        cv2.circle(picture, middle, 12, (30, 30, 60), -1)
    cv2.ellipse(picture, (160, 210), (35, 12), 0, 0, 360, (60, 60, 160), -1)
    ran = session.run(None, {"input": picture.transpose(2, 0, 1)[None].astype(np.float32)})
    out = {name: np.asarray(value) for name, value in zip(names, ran, strict=True)}
    scores = {k: np.sqrt(np.clip(out[f"cls_{k}"], 0, 1) * np.clip(out[f"obj_{k}"], 0, 1)).max() for k in (8, 16, 32)}
    least = float(max(scores.values())) * 0.99
    detector = cv2.FaceDetectorYN.create(str(path), "", (320, 320), least, 0.3, 10)
    rows = detector.detect(picture)[1]
    stride = max(scores, key=lambda k: scores[k])
    cell = int(np.sqrt(out[f"cls_{stride}"] * out[f"obj_{stride}"])[0, :, 0].argmax())
    row, column = divmod(cell, 320 // stride)
    points = (out[f"kps_{stride}"][0, cell].reshape(5, 2) + np.array([column, row])) * stride
    np.testing.assert_allclose(rows[0, 4:14].reshape(5, 2), points, atol=1e-2)
