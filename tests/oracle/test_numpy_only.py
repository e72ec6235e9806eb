"""recordio_tools needs numpy alone: in this environment there is no OpenCV, no torch, no matplotlib, no typer."""

import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recordio_tools
from recordio_tools import FaceSet, Reader
from recordio_tools.build import build_longtail
from recordio_tools.errors import SourceError
from recordio_tools.images import decode_rgb, encode_rgb, fit_square
from recordio_tools.longtail import Rule, plan
from recordio_tools.packing import pack_folder
from recordio_tools.rebuild import rebuild
from recordio_tools.set_writer import SetWriter
from tests.oracle.make_golden import GOLDEN

DOOR = ("recordio_tools.cli", "recordio_tools.door")  # the command line wants typer
ROOT = Path(recordio_tools.__file__).parents[1]


@pytest.fixture(autouse=True)
def _nothing_else_is_installed() -> None:
    for name in ("cv2", "torch", "matplotlib", "typer", "rich", "pydantic"):
        assert importlib.util.find_spec(name) is None, f"{name} is here; remake the environment: rm -r .oracle"


def test_every_library_module_imports_and_brings_numpy_only() -> None:
    modules = [module.name for module in pkgutil.walk_packages(recordio_tools.__path__, "recordio_tools.")]
    names = [name for name in modules if not name.startswith(DOOR)]
    assert len(names) > 15
    code = f"""
import importlib, json, sys
before = set(sys.modules)
for name in {names!r}:
    importlib.import_module(name)
files = {{name.split(".")[0] for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)}}
print(json.dumps(sorted(files - sys.stdlib_module_names)))
"""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == ["numpy", "recordio_tools"]


def test_a_set_is_written_read_indexed_and_planned(tmp_path: Path) -> None:
    with SetWriter(tmp_path, 6, 6) as writer:
        for label, count in enumerate((5, 3, 1)):
            for number in range(count):
                writer.add(label, b"image %d" % number, f"{label}/{number}.jpg")
    faces = FaceSet(tmp_path)
    assert (faces.layout, faces.counts().tolist(), faces.names) == ("face2rec2", [5, 3, 1], ["0", "1", "2"])
    assert bytes(faces.encoded(6)) == b"image 1"
    assert faces.summary()["records"] == 9 + 1 + 3
    index, _ = rebuild(tmp_path / "train.rec")
    with Reader(tmp_path / "train.rec", index) as reader:
        assert [payload for _, payload in reader] == [payload for _, payload in faces.reader]
    cut = plan(faces.counts(), Rule("proportional", images=4), np.random.default_rng(0))
    assert cut.counts.sum() == 4


def test_a_long_tail_says_before_it_copies_that_its_picture_needs_matplotlib(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"matplotlib cannot be loaded .*install it with: pip install matplotlib"):
        build_longtail(GOLDEN / "face2rec2", tmp_path / "out", Rule("exponential", imbalance=2), 0)
    assert not list(tmp_path.iterdir())


def test_what_decodes_says_that_opencv_is_missing(tmp_path: Path) -> None:
    said = "OpenCV cannot be loaded .*install it with: pip install opencv-python"
    faces = FaceSet(GOLDEN / "face2rec2")
    with pytest.raises(SourceError, match=said):
        faces.image(0)
    with pytest.raises(SourceError, match=said):
        decode_rgb(faces.encoded(0), "a picture")
    square = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(SourceError, match=said):
        encode_rgb(square, ".png", 95)
    with pytest.raises(SourceError, match=said):
        fit_square(square, 8)
    (tmp_path / "photos/ann").mkdir(parents=True)
    (tmp_path / "photos/ann/1.png").write_bytes(faces.encoded(0))
    with pytest.raises(SourceError, match=said):
        pack_folder(tmp_path / "photos", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
