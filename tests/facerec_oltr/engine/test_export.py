"""Exported files: equal to torch, one embedding a file, taken by insightface, and what int8 costs.

torch's exporter takes seconds even for a tiny network, so one run is exported once for each embedding; every backbone
is exported by a slow test. The numbers to compare with are torch's own, and insightface's on the same pixels.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from facerec_oltr import backbones
from facerec_oltr.config import load_experiment
from facerec_oltr.engine import export as export_module
from facerec_oltr.engine.embedder import load_embedder
from facerec_oltr.engine.export import ExportedModel, check_place, export, insightface_takes, quantise
from facerec_oltr.engine.finished import FinishedRun, load_run
from facerec_oltr.engine.model import Model
from facerec_oltr.engine.run import train
from facerec_oltr.errors import ConfigError, DataError, ExportError
from facerec_oltr.evaluate.quantised import Photos, cost, photos_of_training
from facerec_oltr.heads import MetaEmbeddingConfig
from recordio_tools.images import decode_rgb, encode_rgb
from recordio_tools.pack_folder import write_pack
from recordio_tools.verification import gather

from ..cli.test_door import facerec, fails_with_one_line
from ..test_contracts import SMALL as SMALL_BACKBONES
from ..test_contracts import members
from .conftest import on_vectors

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
pytest.importorskip("onnxscript", reason="the extra export is not installed")
pytest.importorskip("onnxruntime", reason="the extra export is not installed")

CPU = torch.device("cpu")
Pixels = npt.NDArray[np.uint8]
SMALL = ("backbone.width=4", "backbone.features=8", "schedule.epochs=2", "schedule.batch_size=8", "data.size=112")


def trained(face_set: Path, out: Path, *overrides: str) -> FinishedRun:
    train(load_experiment("oltr", "att_lt", overrides=[*SMALL, f"data.path={face_set}", *overrides]), out, device=CPU)
    return load_run(out)


@pytest.fixture(scope="module")
def run(face_set: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return trained(face_set, tmp_path_factory.mktemp("export") / "run", "backbone.layers=[1, 1]")


@pytest.fixture(scope="module")
def direct(run: FinishedRun) -> ExportedModel:
    return export(run)


@pytest.fixture(scope="module")
def meta(run: FinishedRun) -> ExportedModel:
    return export(run, "meta")


@pytest.fixture(scope="module")
def int8(run: FinishedRun, meta: ExportedModel) -> ExportedModel:
    return quantise(run, meta)


@pytest.fixture
def faces() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (7, 112, 112, 3)).astype(np.uint8)


@torch.no_grad()
def by_torch(run: FinishedRun, faces: Pixels, embedding: str) -> npt.NDArray[np.float32]:
    images = (torch.from_numpy(faces).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    vectors = run.model.head.embed(run.model.features(images), embedding)
    return (vectors / vectors.norm(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize("embedding", ["direct", "meta"])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_batch_of_any_size_is_as_torch_has_it(
    embedding: str, batch: int, run: FinishedRun, faces: Pixels, request: pytest.FixtureRequest
) -> None:
    exported: ExportedModel = request.getfixturevalue(embedding)
    assert exported.difference < 1e-5
    images = (faces[:batch].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    expected = by_torch(run, faces[:batch], embedding)
    np.testing.assert_allclose(exported.embedder.vectors(images), expected, atol=1e-5)
    np.testing.assert_allclose(exported.embedder.embed(faces[:batch]), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)


def test_the_two_embeddings_are_not_the_same(direct: ExportedModel, meta: ExportedModel, faces: Pixels) -> None:
    assert np.abs(direct.embedder.embed(faces) - meta.embedder.embed(faces)).max() > 1e-3


def test_the_file_says_what_it_is_and_not_where_it_was_made(direct: ExportedModel, run: FinishedRun) -> None:
    model = onnx.load_from_string(direct.model)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", export_module.OPSET)]
    (faces,), (out,) = model.graph.input, model.graph.output
    assert (faces.name, out.name) == ("faces", "direct")
    assert [d.dim_param or d.dim_value for d in faces.type.tensor_type.shape.dim] == ["batch", 3, 112, 112]
    assert [d.dim_param or d.dim_value for d in out.type.tensor_type.shape.dim] == ["batch", 8]
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert (facts["method"], facts["dataset"], facts["embedding"]) == ("oltr", "att_lt", "direct")
    assert facts["weights_sha256"] == hashlib.sha256(run.weights.read_bytes()).hexdigest()
    assert facts["trained_on"] == run.trained_on
    assert "RGB" in facts["preprocessing"] and facts["view"].startswith("one;")
    for trace in (b".py", os.fsencode(Path.cwd()), os.fsencode(run.path), b"site-packages"):
        assert trace not in direct.model


def test_without_the_memory_none_of_it_is_in_the_file(
    direct: ExportedModel, meta: ExportedModel, run: FinishedRun
) -> None:
    """Folded into the graph it has lost its name, so it is known by its numbers."""
    assert run.model.head.memory is not None
    centroids = run.model.head.memory.numpy()
    held = [onnx.load_from_string(exported.model).graph.initializer for exported in (direct, meta)]
    assert not any("head" in weight.name for weight in held[0])
    arrays = [[onnx.numpy_helper.to_array(weight) for weight in weights] for weights in held]
    assert [any(np.array_equal(array, centroids) for array in of_file) for of_file in arrays] == [False, True]


def test_of_a_face_that_is_its_own_mirror_facerec_gives_the_same(
    direct: ExportedModel, run: FinishedRun, faces: Pixels
) -> None:
    """f(x) + f(mirrored x) = 2 f(x): only there may a single view be put beside the embedder's two."""
    symmetric = faces.copy()
    symmetric[:, :, 56:] = symmetric[:, :, 55::-1]
    both = load_embedder(run.path, "direct")
    np.testing.assert_allclose(direct.embedder.embed(symmetric), both.embed(symmetric), atol=1e-5)
    assert np.abs(direct.embedder.embed(faces) - both.embed(faces)).max() > 1e-3


@pytest.mark.parametrize("name", ["direct", "meta", "int8"])
def test_insightface_takes_it_for_a_recognition_model(
    name: str, run: FinishedRun, faces: Pixels, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    zoo = pytest.importorskip("insightface.model_zoo", reason="insightface is not installed")
    exported: ExportedModel = request.getfixturevalue(name)
    exported.write(tmp_path / "model.onnx")
    model = zoo.get_model(str(tmp_path / "model.onnx"))
    assert (model.taskname, model.input_size) == ("recognition", (112, 112))
    assert (model.input_mean, model.input_std) == (127.5, 127.5)
    photos = list(faces[:, :, :, ::-1])  # OpenCV's BGR
    one_by_one = np.concatenate([model.get_feat(photo) for photo in photos])
    if (
        name == "int8"
    ):  # which rounds otherwise where the last bit of a pixel is another: held to itself on those pixels
        blobs = cv2.dnn.blobFromImages(photos, 1 / 127.5, (112, 112), (127.5,) * 3, swapRB=True)
        expected = np.concatenate([exported.embedder.vectors(blob[None]) for blob in blobs])
    else:
        expected = by_torch(run, faces, name)
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)
    assert model.get_feat(photos).shape == (7, 8)


def write_detector(path: Path) -> npt.NDArray[np.float32]:
    """A file that insightface takes for its SCRFD detector, for 128 × 128 photos: one face, always the same.

    Gives the five landmarks of that face. Of nine outputs three are scores, boxes and landmarks each, of strides 8, 16
    and 32, two anchors a cell; boxes and landmarks are in strides from the cell's corner.
    """
    landmarks = np.array([[46, 55], [82, 54], [64, 76], [49, 92], [79, 93]], np.float32)
    outputs, nodes = [], []
    for kind, width in (("score", 1), ("box", 4), ("landmarks", 10)):
        for stride in (8, 16, 32):
            values = np.zeros((2 * (128 // stride) ** 2, width), np.float32)
            if stride == 32:
                corner, row = np.array([64, 64]), 2 * (2 * 4 + 2)
                values[row] = {
                    "score": [0.9],
                    "box": [1, 1, 1, 1],
                    "landmarks": ((landmarks - corner) / stride).ravel(),
                }[kind]
            outputs.append(onnx.helper.make_tensor_value_info(f"{kind}_{stride}", 1, values.shape))
            tensor = onnx.numpy_helper.from_array(values)
            nodes.append(onnx.helper.make_node("Constant", [], [f"{kind}_{stride}"], value=tensor))
    photo = onnx.helper.make_tensor_value_info("photo", 1, [1, 3, 128, 128])
    graph = onnx.helper.make_graph(nodes, "detector", [photo], outputs)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), path)
    return landmarks


@pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface calls what scikit-image is about to drop
def test_face_analysis_finds_aligns_and_embeds_with_it(direct: ExportedModel, run: FinishedRun, tmp_path: Path) -> None:
    app = pytest.importorskip("insightface.app", reason="insightface is not installed")
    from insightface.utils.face_align import norm_crop

    landmarks = write_detector(tmp_path / "detector.onnx")
    direct.write(tmp_path / "recognition.onnx")
    analysis = app.FaceAnalysis(name=str(tmp_path), allowed_modules=["detection", "recognition"])
    analysis.prepare(ctx_id=-1, det_size=(128, 128))
    photo = np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    (face,) = analysis.get(photo)
    np.testing.assert_allclose(face.kps, landmarks, atol=1e-3)
    crop = norm_crop(photo, landmarks, 112)[:, :, ::-1].astype(np.uint8, order="C")
    expected = by_torch(run, crop[None], "direct")[0]
    np.testing.assert_allclose(face.normed_embedding, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_face_analysis_with_its_own_detector_on_a_real_photo(
    direct: ExportedModel, run: FinishedRun, tmp_path: Path
) -> None:
    app = pytest.importorskip("insightface.app", reason="insightface is not installed")
    from insightface.utils.face_align import norm_crop

    data = Path(os.environ.get("FACEREC_DATA", "../shared/data"))
    detector, photos = data / "models/scrfd_2.5g_bnkps.onnx", sorted(data.glob("lfw/*.zip"))
    if not (detector.exists() and photos):
        pytest.skip("FACEREC_DATA has no models/scrfd_2.5g_bnkps.onnx or no lfw")
    (tmp_path / "detector.onnx").symlink_to(detector.resolve())
    direct.write(tmp_path / "recognition.onnx")
    with zipfile.ZipFile(photos[0]) as archive:
        jpeg = archive.read(next(name for name in archive.namelist() if name.endswith(".jpg")))
    photo = cv2.cvtColor(decode_rgb(jpeg, "a photo"), cv2.COLOR_RGB2BGR)
    analysis = app.FaceAnalysis(name=str(tmp_path), allowed_modules=["detection", "recognition"])
    analysis.prepare(ctx_id=-1, det_size=(160, 160))
    face = max(analysis.get(photo), key=lambda face: face.det_score)
    crop = norm_crop(photo, face.kps, 112)[:, :, ::-1].astype(np.uint8, order="C")
    expected = by_torch(run, crop[None], "direct")[0]
    np.testing.assert_allclose(face.normed_embedding, expected, atol=1e-5)


def test_insightface_routes_by_size_as_we_say() -> None:
    """Its router's words, of 2.1: 192 is a landmark model; 112 and more in steps of 16; norm_crop's 112 k or 128 k."""
    routed = [s for s in range(16, 700) if s >= 112 and s % 16 == 0 and s != 192 and (s % 112 == 0 or s % 128 == 0)]
    assert [s for s in range(16, 700) if insightface_takes(s)] == routed
    assert routed[:4] == [112, 128, 224, 256]


def test_int8_is_a_quarter_of_the_size_and_nearly_the_same(
    meta: ExportedModel, int8: ExportedModel, faces: Pixels
) -> None:
    kinds = {node.op_type for node in onnx.load_from_string(int8.model).graph.node}
    assert {"ConvInteger", "MatMulInteger"} <= kinds and "Conv" not in kinds
    weights = [
        sum(onnx.numpy_helper.to_array(i).nbytes for i in onnx.load_from_string(e.model).graph.initializer)
        for e in (meta, int8)
    ]
    assert weights[1] < weights[0] / 3
    cosines = (meta.embedder.embed(faces) * int8.embedder.embed(faces)).sum(axis=1)
    assert 0.98 < cosines.min() < 1 - 1e-6
    assert int8.precision == "int8" and int8.difference > meta.difference


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pairs of noise, in turn of the same person and not."""
    rng = np.random.default_rng(3)
    encoded = [encode_rgb(rng.integers(0, 256, (20, 20, 3)).astype(np.uint8), ".png", 0) for _ in range(8)]
    entries = [encoded[k] for pair in range(20) for k in (pair % 8, (3 * pair + 1) % 8)]
    folder = tmp_path_factory.mktemp("pack") / "pack"
    folder.mkdir()
    write_pack(gather(folder, entries, np.arange(20) % 2 == 0), folder, "a test", {})
    return folder


def test_what_int8_costs_is_reckoned_image_by_image(meta: ExportedModel, int8: ExportedModel, faces: Pixels) -> None:
    pairs = np.array([[0, 1], [2, 3], [4, 5], [1, 6]])
    photos = Photos("faces", 7, lambda place: faces[place], pairs, np.array([True, False, True, False]), 2)
    seen: list[tuple[int, int]] = []
    measured = cost(meta.embedder, int8.embedder, photos, lambda done, total: seen.append((done, total)))
    cosines = [float(meta.embedder.embed(f[None])[0] @ int8.embedder.embed(f[None])[0]) for f in faces]
    assert measured.cosines == pytest.approx((np.mean(cosines), min(cosines)), abs=1e-6)
    assert seen == [(7, 14), (14, 14)]
    assert measured.accuracy is not None
    same = cost(meta.embedder, meta.embedder, photos)
    assert same.cosines == pytest.approx((1, 1), abs=1e-6)
    assert same.eer[0] == same.eer[1] == measured.eer[0]


def test_without_a_pack_the_training_set_tells(run: FinishedRun, face_set: Path) -> None:
    photos = photos_of_training(run)
    assert photos.count == 4 + 4 + 2 + 1  # people with 7, 4, 2 and 1 photos: at most four of each
    assert (len(photos.pairs), int(photos.same.sum())) == (11 * 10 // 2, 6 + 6 + 1)
    assert photos.image(0).shape == (112, 112, 3)


def test_a_training_set_that_is_gone_or_another_is_refused(face_set: Path, tmp_path: Path, run: FinishedRun) -> None:
    elsewhere = run.experiment.model_copy(
        update={"data": run.experiment.data.model_copy(update={"path": tmp_path / "none"})}
    )
    with pytest.raises(DataError, match=r"cannot be opened .*none.*; give a verification pack with --pairs"):
        photos_of_training(replace(run, experiment=elsewhere))
    with pytest.raises(DataError, match="has changed since"):
        photos_of_training(replace(run, trained_on="0" * 64))


def test_the_command_writes_the_file_and_says_what_int8_costs(
    run: FinishedRun, meta: ExportedModel, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With the float file of the fixture: torch's exporter takes seconds."""
    from facerec_oltr.cli.export import export as command

    monkeypatch.setattr(export_module, "export", lambda run, embedding: meta)
    out = tmp_path / "model.onnx"
    command(run.path, out, embedding="meta", int8=True, pairs=pack, as_json=True)
    shown = capsys.readouterr()
    made = json.loads(shown.out)
    assert (made["embedding"], made["precision"], made["size"], made["dimensions"]) == ("meta", "int8", 112, 8)
    assert made["bytes"] == out.stat().st_size
    assert {"cosine_mean", "cosine_least", "eer", "accuracy"} == made["int8_cost"].keys()
    assert "accuracy" in shown.err and "cosine" in shown.err and "warning" not in shown.err
    with pytest.raises(ExportError, match="exists already; replace it with --force"):
        command(run.path, out)
    command(run.path, out, force=True)
    assert out.read_bytes() == meta.model
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_is_not_as_torch_has_it_is_refused(
    run: FinishedRun, direct: ExportedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of the one embedding held to the network of the other."""
    monkeypatch.setattr(export_module, "_graph", lambda network, size, embedding: onnx.load_from_string(direct.model))
    with pytest.raises(ExportError, match=r"ONNX Runtime differs from torch by .* nothing was written"):
        export(run, "meta")
    monkeypatch.setattr(export_module, "_difference", lambda network, embedder: float("nan"))
    with pytest.raises(ExportError, match="differs from torch by nan"):
        export(run, "direct")


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    for name, said in (
        ("model.pt", "ends in .onnx"),
        ("none/model.onnx", "does not exist; make it first"),
        ("folder.onnx", "is a folder"),
        ("there.onnx", "exists already; replace it with --force"),
    ):
        with pytest.raises(ExportError, match=said):
            check_place(tmp_path / name, force=False)
    check_place(tmp_path / "there.onnx", force=True)
    check_place(tmp_path / "new.onnx", force=False)


def test_a_missing_extra_names_the_command(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        DataError, match=r"onnx is not installed; install it with: pip install 'facerec-oltr\[export\]'"
    ):
        export(run)


def test_runs_that_cannot_be_exported_are_one_line(vectors: Path, run: FinishedRun, tmp_path: Path) -> None:
    train(on_vectors(vectors, "schedule.epochs=2", method="plain"), tmp_path / "vectors", device=CPU)
    with pytest.raises(ConfigError, match="was trained on feature vectors"):
        export(load_run(tmp_path / "vectors"))
    with pytest.raises(ConfigError, match="found no embedding 'mata'; its head offers direct, meta"):
        export(run, "mata")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "experiment.json").write_bytes((run.path / "experiment.json").read_bytes())
    fails_with_one_line(facerec("export", unfinished, tmp_path / "model.onnx"), "the run is not finished; go on with")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize("config", [c for c in members(backbones) if c is not backbones.IdentityConfig], ids=str)
def test_every_backbone_with_all_that_may_stand_in_it(
    config: Any, run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention, a layer in front of the head, a memory of which few centroids are read."""
    backbone = config(**SMALL_BACKBONES[config.__name__]).build(
        shape=(48, 48, 3), attention=backbones.ModulatedAttentionConfig()
    )
    head = MetaEmbeddingConfig(top_k=3).build(features=6, classes=5)
    model = Model(backbone, head, torch.nn.Linear(backbone.features_size, 6))
    with torch.no_grad():
        head.memory.normal_(generator=torch.Generator().manual_seed(0))
        model(torch.rand(16, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    exported = export(replace(run, model=model.eval(), shape=(48, 48, 3)), "meta")
    assert exported.difference < 1e-5
    assert (exported.embedder.size, exported.embedder.dimensions) == (48, 6)
    with pytest.raises(ExportError, match="an ONNX file ends at 2 GiB; take --embedding direct"):
        monkeypatch.setattr(export_module, "_MOST_BYTES", 100)
        export(replace(run, model=model, shape=(48, 48, 3)), "meta")
