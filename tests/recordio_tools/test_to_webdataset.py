"""Shards, read by tarfile and grouped as WebDataset groups them."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recordio_tools import FaceSet
from recordio_tools.errors import SourceError
from recordio_tools.to_webdataset import bytes_of, split_pattern, to_webdataset

Contents = Callable[[Path], dict[str, bytes]]


def grouped(folder: Path) -> dict[str, list[dict[str, bytes]]]:
    """The shards as WebDataset groups them: consecutive members with the same name up to the first dot."""
    shards: dict[str, list[dict[str, bytes]]] = {}
    for path in sorted(folder.glob("*.tar")):
        samples: list[dict[str, bytes]] = []
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                if not samples or samples[-1]["key"] != key.encode():
                    samples.append({"key": key.encode()})
                file = tar.extractfile(member)
                assert file is not None
                assert suffix not in samples[-1]
                samples[-1][suffix] = file.read()
        shards[path.name] = samples
    return shards


def test_shards_hold_every_image_and_label(png_set: Path, tmp_path: Path) -> None:
    manifest = to_webdataset(png_set, tmp_path / "out" / "p-%03d.tar", shard_images=8, details=True)
    shards = grouped(tmp_path / "out")
    assert {name: len(samples) for name, samples in shards.items()} == {"p-000.tar": 8, "p-001.tar": 8, "p-002.tar": 4}
    faces = FaceSet(png_set)
    assert faces.names is not None
    assert faces.paths is not None
    samples = [sample for shard in shards.values() for sample in shard]
    for position, sample in enumerate(samples):
        label = int(faces.labels[position])
        facts = {"key": position + 1, "label": label, "name": faces.names[label], "path": faces.paths[position]}
        assert json.loads(sample.pop("json")) == {**facts, "id": position + 1}
        assert sample == {
            "key": b"%08d" % (position + 1), "png": bytes(faces.encoded(position)), "cls": b"%d" % label,
        }  # fmt: skip
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()).items() >= manifest.items()
    assert manifest["shardlist"] == [
        {"url": name, "nsamples": len(shard), "filesize": (tmp_path / "out" / name).stat().st_size}
        for name, shard in shards.items()
    ]
    assert (manifest["images"], manifest["classes"], manifest["size"]) == (20, 5, [24, 24])


def test_shards_are_what_tarfile_writes_and_no_larger_than_asked(
    png_set: Path, tmp_path: Path, contents: Contents
) -> None:
    manifest = to_webdataset(png_set, tmp_path / "out", shard_bytes=20_480)
    assert len(manifest["shardlist"]) > 1
    for shard in manifest["shardlist"]:
        path = tmp_path / "out" / shard["url"]
        assert path.stat().st_size <= 20_480
        again = io.BytesIO()
        with tarfile.open(path) as tar, tarfile.open(fileobj=again, mode="w", format=tarfile.USTAR_FORMAT) as copy:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                plain = tarfile.TarInfo(member.name)
                plain.size = member.size
                copy.addfile(plain, tar.extractfile(member))
        assert again.getvalue() == path.read_bytes()
    to_webdataset(png_set, tmp_path / "again" / "faces-%06d.tar", shard_bytes=20_480)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
    small = to_webdataset(png_set, tmp_path / "small", shard_bytes=1)  # an image larger than the limit has its own
    assert [shard["nsamples"] for shard in small["shardlist"]] == [1] * 20


def test_sizes_and_patterns() -> None:
    sizes = {"1GB": 10**9, "500mb": 5 * 10**8, "1.5 K": 1500, "12345": 12345, "2T": 2 * 10**12}
    assert {text: bytes_of(text) for text in sizes} == sizes
    for text in ("", "GB", "-1", "1XB", "1e9", "1GiB", "nan"):
        with pytest.raises(SourceError, match="number of bytes"):
            bytes_of(text)
    assert split_pattern("a/b") == (Path("a/b"), "faces-%06d.tar")
    assert split_pattern("a/b-%d.tar") == (Path("a"), "b-%d.tar")
    for pattern in ("a/%s.tar", "a/%", "a/%d-%d.tar", "a/%0999d.tar", "a/.%d.tar", "a/%(x)d"):
        with pytest.raises(SourceError, match="is no pattern"):
            split_pattern(pattern)


def test_the_shards_need_nothing_but_numpy(png_set: Path, tmp_path: Path) -> None:
    code = (
        "import sys, recordio_tools.merge; from recordio_tools.to_webdataset import to_webdataset;"
        f"to_webdataset({str(png_set)!r}, {str(tmp_path / 'out')!r});"
        "print({'cv2', 'matplotlib', 'typer', 'rich', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
    assert np.sum([len(shard) for shard in grouped(tmp_path / "out").values()]) == 20
