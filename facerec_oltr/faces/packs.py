"""insightface's model packs: a detector and an embedder in one folder, fetched at first use.

What a file is for is told by its inputs and outputs, as insightface does it; of several for the same task the first by
name is taken. A pack with a manifest says it itself.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facerec_oltr.errors import DataError
from facerec_oltr.faces._onnx_file import OnnxFile, read_onnx
from facerec_oltr.faces._quiet import quiet
from facerec_oltr.faces.found import Detector
from facerec_oltr.faces.onnx_embedder import OnnxEmbedder
from facerec_oltr.faces.preprocessing import RAW, Preprocessing, scaled

FETCHED = ("antelopev2", "buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "raccoon_l", "raccoon_s")
"""Packs that insightface fetches. Of other names only what lies in its folder is taken: a misspelt run is no pack."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MANIFEST = "manifest.json"


def pack_root() -> Path:
    """Where insightface keeps its files: models/NAME below."""
    return Path("~/.insightface").expanduser()


def pack_folder(source: str, root: Path | None = None) -> Path | None:
    """The folder of a pack: a folder with .onnx files itself, or a pack's name; None where `source` is neither.

    Raises:
        DataError: a pack of this name is not there and cannot be fetched.
    """
    given = Path(source)
    if given.is_dir():
        return _inner(given)
    if not _NAME.fullmatch(source):
        return None
    root = root or pack_root()
    place = root / "models" / source
    if not place.is_dir():
        if source not in FETCHED:
            return None
        _fetch(source, root)
    return _inner(place)


def _inner(folder: Path) -> Path | None:
    """The folder with the files: some packs are zipped with their own folder around them."""
    for place in (folder, folder / folder.name):
        if (place / _MANIFEST).is_file() or any(place.glob("*.onnx")):
            return place.absolute()
    return None


def _fetch(name: str, root: Path) -> None:
    """Let insightface fetch a pack; it is there whole or not at all."""
    place = root / "models" / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=place.parent) as folder:
            with quiet():
                from insightface.utils.storage import ensure_available

                got = Path(ensure_available("models", name, root=folder))
            shutil.move(got, place)
    except Exception as error:  # the network's, the disk's, the archive's: any of a dozen kinds
        if place.is_dir():  # another process was faster
            return
        said = " ".join(str(error).split())[:120]
        raise DataError(
            f"{name}: the model pack is not in {place} and cannot be fetched ({said}); put its .onnx files there, "
            "or give the path of a folder that holds them"
        ) from error


@dataclass(frozen=True)
class ModelPack:
    """A pack, its files not opened yet.

    Attributes:
        folder: where it is, absolute.
        detection: its detector.
        recognition: its embedder.
        preprocessing: that its manifest names for the embedder.
        manifest: whether it has one.
    """

    folder: Path
    detection: OnnxFile | None
    recognition: OnnxFile | None
    preprocessing: Preprocessing | None
    manifest: bool

    def detector(self) -> Detector:
        """Open it.

        Raises:
            DataError: the pack has none, or it cannot be used.
        """
        if self.detection is None:
            raise DataError(f"{self.folder}: holds no face detector (YuNet or SCRFD); name another with --detector")
        if self.detection.role() == "yunet":
            from facerec_oltr.faces.yunet import YunetDetector

            return YunetDetector(self.detection.path, source=str(self.folder))
        from facerec_oltr.faces.scrfd import ScrfdDetector

        package = self.folder if self.manifest else None
        return ScrfdDetector(self.detection.path, source=str(self.folder), package=package)

    def embedder(self, preprocessing: Preprocessing | None) -> OnnxEmbedder:
        """Open it.

        Args:
            preprocessing: instead of what the pack says; None for that.

        Raises:
            DataError: the pack has none, or it cannot be used.
        """
        if self.recognition is None:
            raise DataError(
                f"{self.folder}: holds no network that embeds faces (one square input, one output); give another pack"
            )
        source = f"{self.folder}:{preprocessing.name}" if preprocessing else str(self.folder)
        embedder = OnnxEmbedder.load(self.recognition.path, preprocessing or self.preprocessing, source=source)
        embedder.name = self.folder.name
        return embedder


def open_pack(folder: Path) -> ModelPack:
    """Look at a pack's files.

    Raises:
        DataError: one cannot be read, or the manifest is broken.
    """
    if (folder / _MANIFEST).is_file():
        return _by_manifest(folder)
    files = {role: file for file in _files(folder) if (role := _task(file)) is not None}
    return ModelPack(folder, files.get("detection"), files.get("recognition"), None, False)


def _files(folder: Path) -> Iterator[OnnxFile]:
    """The last name first, so that of two for one task the first one stays."""
    for path in sorted(folder.glob("*.onnx"), reverse=True):
        yield read_onnx(path)


def _task(file: OnnxFile) -> str | None:
    role = file.role()
    return "detection" if role in ("yunet", "scrfd") else role


def _by_manifest(folder: Path) -> ModelPack:
    with quiet():
        from insightface.model_zoo.package_manifest import load_model_package, verify_model_artifact

    try:
        tasks = load_model_package(folder).tasks
        for task in ("detection", "recognition"):
            if task in tasks:
                verify_model_artifact(tasks[task])
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise DataError(f"{folder / _MANIFEST}: {' '.join(str(error).split())}; fetch the pack again") from error
    detection, recognition = (read_onnx(tasks[t].path) if t in tasks else None for t in ("detection", "recognition"))
    pixels = tasks["recognition"].metadata["preprocessing"] if recognition else None
    if pixels is not None:
        pixels = RAW if isinstance(pixels, str) else scaled("manifest", float(pixels["mean"]), float(pixels["std"]))
    return ModelPack(folder, detection, recognition, pixels, True)
