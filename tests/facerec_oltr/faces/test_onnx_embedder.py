"""ONNX files as embedders: which pixels a network is given, and what is said of files that are none."""

import sys
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.faces.onnx_embedder import OnnxEmbedder
from facerec_oltr.faces.preprocessing import PREPROCESSINGS
from facerec_oltr.models import open_extractor, open_model

from . import networks

FACES = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3)).astype(np.uint8)


def opened(tmp_path: Path, data: bytes, preprocessing: str = "") -> OnnxEmbedder:
    (tmp_path / "net.onnx").write_bytes(data)
    embedder = open_model(f"{tmp_path / 'net.onnx'}{preprocessing and ':'}{preprocessing}")
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


def pixels(name: str) -> np.ndarray:
    """By hand, pixel by pixel as the names are defined."""
    values = FACES.astype(np.float64)
    if name.startswith("arcface"):
        values = (values - 127.5) / 127.5
    elif name.startswith("imagenet"):
        values = (values / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    if name.endswith("bgr"):
        values = values[..., [2, 1, 0]]
    return values.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_a_network_is_given_the_pixels_that_are_named(name: str, tmp_path: Path) -> None:
    embedder = opened(tmp_path, networks.embedder(), name)
    np.testing.assert_allclose(embedder.preprocessing(FACES), pixels(name), atol=2e-6 * np.abs(pixels(name)).max())
    np.testing.assert_allclose(embedder.embed(FACES), networks.by_hand(pixels(name)), atol=1e-5)
    assert embedder.source == f"{tmp_path / 'net.onnx'}:{name}"
    assert open_model(embedder.source).fingerprint == embedder.fingerprint


def test_without_a_name_it_is_arcface(tmp_path: Path) -> None:
    embedder = opened(tmp_path, networks.embedder())
    np.testing.assert_allclose(embedder.embed(FACES), networks.by_hand(pixels("arcface")), atol=1e-5)
    assert (embedder.name, embedder.size, embedder.dimensions) == ("net", 112, 8)
    assert embedder.fingerprint == opened(tmp_path, networks.embedder(), "arcface").fingerprint
    assert len({opened(tmp_path, networks.embedder(), name).fingerprint for name in PREPROCESSINGS}) == len(
        PREPROCESSINGS
    )
    assert embedder.fingerprint != opened(tmp_path, networks.embedder(dimensions=9)).fingerprint


@pytest.mark.parametrize(
    ("first", "raw"), [(("Sub_1", "Mul_2"), True), (("_minusscalar0", "_mulscalar0"), True), (("a", "b"), False)]
)
def test_a_graph_that_normalises_itself_is_known_as_insightface_knows_it(
    first: tuple[str, str], raw: bool, tmp_path: Path
) -> None:
    embedder = opened(tmp_path, networks.embedder(first=first))
    from insightface.model_zoo import get_model

    theirs = get_model(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    assert ((theirs.input_mean, theirs.input_std) == (0, 1)) == raw  # type: ignore[union-attr]
    assert (embedder.preprocessing.name == "raw") == raw
    features = np.asarray(theirs.get_feat(list(FACES[..., ::-1])))  # type: ignore[union-attr]
    np.testing.assert_allclose(
        embedder.embed(FACES), features / np.linalg.norm(features, axis=1, keepdims=True), atol=1e-5
    )


@pytest.mark.parametrize("batch", [1, 2, 4, "batch"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_batch_of_any_size_fits_a_fixed_one(batch: int | str, count: int, tmp_path: Path) -> None:
    embedder = opened(tmp_path, networks.embedder(batch=batch))
    vectors = embedder.embed(FACES[:count])
    assert vectors.shape == (count, 8) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, networks.by_hand(pixels("arcface"))[:count], atol=1e-5)


def test_a_file_of_ours_says_itself_what_it_takes(tmp_path: Path) -> None:
    ours = networks.embedder(first=("Sub", "Mul"), facerec_version="1", precision="int8")
    embedder = opened(tmp_path, ours)
    assert embedder.preprocessing.name == "arcface"
    assert opened(tmp_path, ours, "arcface").fingerprint == embedder.fingerprint
    with pytest.raises(DataError, match="was exported by facerec and takes arcface, not imagenet; leave it out"):
        opened(tmp_path, ours, "imagenet")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes that are not an ONNX network"),
        (b"not a network, but long enough to be one", "not an ONNX network"),
        (networks.embedder()[:-900], "not an ONNX network|cannot run it"),
        (
            networks.embedder(outputs=2),
            r"1 inputs \(pixels batch×3×112×112|1 inputs .* and 2 outputs \(vector, vector1\)",
        ),
        (networks.scrfd(), "9 outputs"),
        (networks.yunet(), "12 outputs"),
    ],
)
def test_what_is_no_embedder_is_said_in_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        opened(tmp_path, data)
    assert str(caught.value).startswith(str(tmp_path / "net.onnx")) and "\n" not in str(caught.value)


def test_names_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(networks.embedder())
    with pytest.raises(DataError, match="preprocessing 'caffe' is unknown, expected arcface, imagenet"):
        open_model(f"{tmp_path / 'net.onnx'}:caffe")
    with pytest.raises(DataError, match=r"cannot be read .No such file"):
        open_model(str(tmp_path / "no.onnx"))
    with pytest.raises(DataError, match="found no such model"):
        open_model(str(tmp_path / "no"))


def test_a_colon_may_be_in_the_name(tmp_path: Path) -> None:
    (tmp_path / "a:raw.onnx").write_bytes(networks.embedder())
    assert open_model(str(tmp_path / "a:raw.onnx")).source == str(tmp_path / "a:raw.onnx")
    assert open_model(str(tmp_path / "a:raw.onnx") + ":raw").source.endswith("a:raw.onnx:raw")


def test_a_vector_that_is_not_finite_is_no_vector(tmp_path: Path) -> None:
    embedder = opened(tmp_path, networks.embedder())
    embedder.preprocessing = lambda faces: np.full((len(faces), 3, 112, 112), np.nan, np.float32)  # type: ignore[assignment]
    with pytest.raises(DataError, match="zero or not finite; look for a damaged file"):
        embedder.embed(FACES)


def test_an_onnx_file_needs_no_detector_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(networks.embedder())
    extractor = open_extractor(f"{tmp_path / 'net.onnx'}:raw")
    assert (extractor.detector, extractor.detector_source, extractor.detector_fingerprint) == (None, "none", "")


def test_torch_is_not_needed(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "net.onnx").write_bytes(networks.embedder())
    code = (
        "import sys; from facerec_oltr.models import open_extractor; "
        f"open_extractor({str(tmp_path / 'net.onnx')!r}); print('torch' in sys.modules, 'insightface' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_real_network_takes_imagenets_pixels(real_models: Path) -> None:
    embedder = open_model(f"{real_models / 'mobilefacenet_foamliu.onnx'}:imagenet")
    vectors = embedder.embed(FACES)
    assert vectors.shape == (5, 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
