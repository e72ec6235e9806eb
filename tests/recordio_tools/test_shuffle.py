"""Sets in random order; expected is the layout of InsightFace's shuffle_rec.py, read word by word."""

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from recordio_tools import FaceSet, Header, Writer, pack, shuffle
from recordio_tools.errors import LimitError, PlanError
from recordio_tools.shuffle import shuffle_set

JPEG = b"\xff\xd8\xff\xe0"
MakeSet = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]


@pytest.mark.parametrize("bucket", [1 << 28, 3000])
@pytest.mark.parametrize("layout", ["face2rec2", "RecBuilder", "SeqRecBuilder"])
def test_shuffle_keeps_every_image_with_its_label(
    make_set: MakeSet, tmp_path: Path, slow: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, bucket: int, layout: str
) -> None:
    source = make_set(tmp_path / "source", [70, 20, 60], layout)
    monkeypatch.setattr(shuffle, "BUCKET", bucket)
    monkeypatch.setattr(shuffle, "_IMAGES_AT_ONCE", 7)
    steps: list[tuple[int, int]] = []
    shuffle_set(source, tmp_path / "out", 5, progress=lambda *step: steps.append(step))
    assert steps[-1] == (300, 300)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    # the layout of shuffle_rec.py, read word by word: keys 0..N-1 in file order, flag 0, one label, nothing else
    lines = (tmp_path / "out" / "train.idx").read_text().splitlines()
    assert [int(line.split("\t")[0]) for line in lines] == list(range(150))
    found = {}
    for key, payload in enumerate(slow.decode((tmp_path / "out" / "train.rec").read_bytes())):
        flag, label, number, number2 = struct.unpack("<IfQQ", payload[:24])
        assert (flag, number, number2) == (0, key, 0)
        found[payload[24:]] = label
    first = 0 if layout == "SeqRecBuilder" else 1
    labels = [0] * 70 + [1] * 20 + [2] * 60
    assert found == {b"image %d" % key: label for key, label in enumerate(labels, first)}
    assert list(found) != sorted(found, key=lambda image: int(image.split()[1]))
    assert (tmp_path / "out" / "property").read_text() == "3,112,112\n150\nshuffled\n"
    # as arcface_torch opens it: record 0 has no labels of its own, so all keys are images
    faces = FaceSet(tmp_path / "out")
    assert list(faces.paths or ()) == [
        f"{found[bytes(image)]:g}/{bytes(image).split()[1].decode()}" for image in _images(faces)
    ]


def _images(faces: FaceSet) -> list[memoryview]:
    return [faces.encoded(position) for position in range(len(faces))]


def test_shuffle_depends_on_the_seed_alone(
    png_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: Contents
) -> None:
    shuffle_set(png_set, tmp_path / "a", 1)
    shuffle_set(png_set, tmp_path / "c", 2)
    monkeypatch.setattr(shuffle, "BUCKET", 9000)
    shuffle_set(png_set, tmp_path / "b", 1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["train.rec"] != contents(tmp_path / "c")["train.rec"]
    whole, made = FaceSet(png_set), FaceSet(tmp_path / "a")
    assert made.names == whole.names
    assert made.paths is not None
    assert whole.paths is not None
    for position, path in enumerate(made.paths):
        assert bytes(made.encoded(position)) == bytes(whole.encoded(whole.paths.index(path)))
    with pytest.raises(PlanError, match="seed -1"):
        shuffle_set(png_set, tmp_path / "d", -1)


def test_shuffle_loses_no_label_unasked(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with Writer(tmp_path / "source" / "train.rec") as writer:
        writer.write(0, pack(Header(0, [3.0, 0.5], 0), JPEG))
    (tmp_path / "source" / "property").write_text("4,8,8\n")
    with pytest.raises(LimitError, match=r"2 labels, .* --drop-labels"):
        shuffle_set(tmp_path / "source", tmp_path / "out", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    shuffle_set(tmp_path / "source", tmp_path / "out", 0, drop_labels=True)
    assert FaceSet(tmp_path / "out").record(0)[0] == Header(0, 3.0, 0)


def test_shuffle_holds_one_bucket_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by what is read back from the disk at once; the file itself is mapped."""
    (tmp_path / "source").mkdir()
    with Writer(tmp_path / "source" / "train.rec") as writer:
        for key in range(500):
            writer.write(key, pack(Header(0, 0.0, key), JPEG + bytes(1000)))
    (tmp_path / "source" / "property").write_text("1,8,8\n")
    monkeypatch.setattr(shuffle, "BUCKET", 20_000)
    sizes = []
    read = Path.read_bytes

    def counted(path: Path) -> bytes:
        data = read(path)
        if path.name.startswith("bucket-"):
            sizes.append(len(data))
        return data

    monkeypatch.setattr(Path, "read_bytes", counted)
    shuffle_set(tmp_path / "source", tmp_path / "out", 0)
    assert sum(sizes) == (tmp_path / "out" / "train.rec").stat().st_size
    assert max(sizes) <= 21_000
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json", "property", "train.idx", "train.lst", "train.rec",
    ]  # fmt: skip
