"""Model packs: told by their files, found by name, fetched by insightface's own code from a network of our making."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.faces import packs
from facerec_oltr.faces.packs import pack_folder
from facerec_oltr.faces.scrfd import ScrfdDetector
from facerec_oltr.faces.yunet import YunetDetector
from facerec_oltr.models import open_extractor, open_model

from . import networks


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Like buffalo_l: beside detector and embedder there are landmarks (192) and age and sex (96)."""
    folder = tmp_path / "my pack"
    folder.mkdir()
    (folder / "1k3d68.onnx").write_bytes(networks.embedder(192, 9))
    (folder / "det_10g.onnx").write_bytes(networks.scrfd())
    (folder / "genderage.onnx").write_bytes(networks.embedder(96, 3))
    (folder / "w600k_r50.onnx").write_bytes(networks.embedder())
    (folder / "w600k_r99.onnx").write_bytes(networks.embedder(dimensions=16))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "home" / ".insightface"
    monkeypatch.setattr(packs, "pack_root", lambda: root)
    return root


def test_a_pack_brings_its_detector_and_its_embedder(pack: Path) -> None:
    extractor = open_extractor(str(pack))
    assert isinstance(extractor.detector, ScrfdDetector)
    assert (extractor.name, extractor.dimensions, extractor.size) == ("my pack", 8, 112)
    assert extractor.source == extractor.detector_source == str(pack)
    again = open_extractor(extractor.source, extractor.detector_source)
    assert (again.fingerprint, again.detector_fingerprint) == (extractor.fingerprint, extractor.detector_fingerprint)
    assert extractor.detector_fingerprint and extractor.limits.size > 0
    with_pixels = open_extractor(f"{pack}:imagenet")
    assert with_pixels.source == f"{pack}:imagenet" and with_pixels.detector_source == str(pack)
    assert with_pixels.fingerprint != extractor.fingerprint
    crops = open_extractor(str(pack), "none")
    assert crops.detector is None and crops.limits.size == -np.inf


def test_insightface_itself_takes_the_same_files(pack: Path) -> None:
    from insightface.app import FaceAnalysis

    theirs = FaceAnalysis(
        name=str(pack), providers=["CPUExecutionProvider"], allowed_modules=["detection", "recognition"]
    )
    assert {task: Path(model.model_file).name for task, model in theirs.models.items()} == {
        "detection": "det_10g.onnx",
        "recognition": "w600k_r50.onnx",
    }


def test_yunet_may_be_a_packs_detector(pack: Path) -> None:
    (pack / "det_10g.onnx").write_bytes(networks.yunet())
    assert isinstance(open_extractor(str(pack)).detector, YunetDetector)


def test_half_a_pack_says_what_it_lacks(pack: Path) -> None:
    (pack / "det_10g.onnx").unlink()
    assert open_model(str(pack)).dimensions == 8
    with pytest.raises(DataError, match=r"my pack: holds no face detector .* --detector"):
        open_extractor(str(pack))
    (pack / "det_10g.onnx").write_bytes(networks.scrfd())
    for path in pack.glob("w600k*"):
        path.unlink()
    with pytest.raises(DataError, match="holds no network that embeds faces"):
        open_model(str(pack))
    (pack / "torn.onnx").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"torn\.onnx: 4 bytes that are not an ONNX network"):
        open_model(str(pack))


def test_a_name_is_looked_for_in_insightfaces_folder(pack: Path, home: Path) -> None:
    (home / "models").mkdir(parents=True)
    pack.rename(home / "models" / "mine")
    assert open_extractor("mine").source == str(home / "models" / "mine")
    assert open_model("mine:raw").source == f"{home / 'models' / 'mine'}:raw"
    nested = home / "models" / "antelopev2"  # its archive has a folder of its own
    (home / "models" / "mine").rename(home / "models" / "inner")
    nested.mkdir()
    (home / "models" / "inner").rename(nested / "antelopev2")
    assert open_extractor("antelopev2").dimensions == 8


class Answer:
    """What requests.get gives, as far as insightface looks at it."""

    def __init__(self, status_code: int, body: bytes = b"") -> None:
        self.status_code, self.body, self.headers = status_code, body, {}

    def iter_content(self, chunk_size: int) -> Any:
        for start in range(0, len(self.body), chunk_size):
            yield self.body[start : start + chunk_size]


def archive(pack: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for path in pack.iterdir():
            made.write(path, path.name)
    return file.getvalue()


def test_a_known_pack_is_fetched_at_first_use(
    pack: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def get(url: str, **_: Any) -> Answer:
        asked.append(url)
        return Answer(200, archive(pack))

    monkeypatch.setattr("requests.get", get)
    for _ in range(2):
        assert open_extractor("buffalo_sc").dimensions == 8
    assert len(asked) == 1 and asked[0].endswith("/buffalo_sc.zip")
    assert [path.name for path in (home / "models").iterdir()] == ["buffalo_sc"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OSError("Temporary failure in\nname resolution"), "Temporary failure in name resolution"),
        (Answer(404), "Failed downloading url"),
        (Answer(200, b"<html>log in to this network first</html>"), "not a zip file"),
    ],
)
def test_where_the_network_is_missing_one_line_says_what_to_do(
    answer: Answer | OSError, said: str, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def get(url: str, **_: Any) -> Answer:
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr("requests.get", get)
    with pytest.raises(DataError, match=said) as caught:
        open_extractor("buffalo_l")
    message = str(caught.value)
    assert message.startswith(
        f"buffalo_l: the model pack is not in {home / 'models' / 'buffalo_l'} and cannot be fetched"
    )
    assert message.endswith("put its .onnx files there, or give the path of a folder that holds them")
    assert "\n" not in message and capfd.readouterr() == ("", "")
    assert list((home / "models").iterdir()) == []  # nothing half fetched that the next call would take


def test_a_misspelt_name_asks_no_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.get", lambda *_, **__: pytest.fail("asked the network"))
    for name in ("buffalo_xl", "demo_run", "dlibb", "../../etc", "", "."):
        assert pack_folder(name) is None
    with pytest.raises(DataError, match=r"buffalo_xl: found no such model, expected .* a model pack's folder or name"):
        open_model("buffalo_xl")


def test_a_pack_with_a_manifest_says_it_itself(pack: Path) -> None:
    (pack / "MODEL.LICENSE").write_text("free")
    manifest = {
        "manifest_version": 2,
        "model_id": "mine",
        "license": "MODEL.LICENSE",
        "tasks": {
            "detection": {"file": "det_10g.onnx", "preprocessing": {"mean": 127.5, "std": 128.0}},
            "recognition": {
                "file": "w600k_r99.onnx",
                "preprocessing": {"mean": 100.0, "std": 50.0},
                "input_size": [112, 112],
                "embedding_size": 16,
            },
        },
    }
    (pack / "manifest.json").write_text(json.dumps(manifest))
    extractor = open_extractor(str(pack))
    assert isinstance(extractor.detector, ScrfdDetector) and extractor.dimensions == 16
    faces = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3)).astype(np.uint8)
    pixels = (faces.transpose(0, 3, 1, 2).astype(np.float64) - 100) / 50
    np.testing.assert_allclose(extractor.embedder.embed(faces), networks.by_hand(pixels, dimensions=16), atol=1e-5)
    (pack / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: "):
        open_extractor(str(pack))


def test_a_folder_with_the_real_files_stands_for_a_pack(real_models: Path, tmp_path: Path) -> None:
    for name in ("scrfd_2.5g_bnkps.onnx", "mobilefacenet_foamliu.onnx"):
        (tmp_path / name).symlink_to(real_models / name)
    extractor = open_extractor(f"{tmp_path}:imagenet")
    assert isinstance(extractor.detector, ScrfdDetector) and extractor.dimensions == 128
