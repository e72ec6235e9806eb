"""The photos of LFW, and who is in them."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

SEED, TRIALS = 0, 10
ENROLLED, EACH, STRANGERS, CALIBRATION = 100, 2, 200, 350
LATER = 40  # probes beyond the first, by which the time of a later one is taken


def draw(data: Path, out: Path) -> dict[str, Any]:
    """Folders of photos, and who is in them."""
    archives = [zipfile.ZipFile(data / "lfw" / name) for name in ("lfw_ids_ge2.zip", "lfw_ids_single.zip")]
    photos: dict[str, list[tuple[zipfile.ZipFile, str]]] = {}
    for archive in archives:
        for path in sorted(archive.namelist()):
            if path.endswith(".jpg"):
                photos.setdefault(path.split("/")[0], []).append((archive, path))
    rng = np.random.default_rng(SEED)
    many = rng.permutation(sorted(name for name, own in photos.items() if len(own) >= 2 * EACH)).tolist()
    known, newcomers = many[:ENROLLED], many[ENROLLED : ENROLLED + 1 + 2 * TRIALS]
    others = rng.permutation(sorted(photos.keys() - set(known) - set(newcomers))).tolist()
    strangers, calibration = others[:STRANGERS], others[STRANGERS : STRANGERS + CALIBRATION]

    def put(folder: Path, name: str, first: int, last: int) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        order = np.random.default_rng([SEED, len(photos[name])]).permutation(len(photos[name]))
        chosen = [photos[name][i] for i in order[first:last]]
        for archive, path in chosen:
            (folder / Path(path).name).write_bytes(archive.read(path))
        return [folder / Path(path).name for _, path in chosen]

    for name in known:
        put(out / "known" / name, name, 0, EACH)
    for name in newcomers:
        put(out / "new" / name, name, 0, EACH)
    for name in calibration:
        put(out / "calibration" / name, name, 0, 1)
    mated = [path for name in known for path in put(out / "all", name, EACH, 2 * EACH)]
    unmated = [path for name in strangers for path in put(out / "all", name, 0, 1)]
    for folder, some in (("one", mated[:1]), ("some", mated[: LATER // 2 + 1] + unmated[: LATER // 2])):
        (out / folder).mkdir()
        for path in some:
            shutil.copy(path, out / folder)
    return {"known": known, "new": newcomers, "mated": [p.name for p in mated], "strangers": [p.name for p in unmated]}


def person_of(photo: str | Path) -> str:
    """Whom LFW says a photo shows."""
    return Path(photo).stem.rpartition("_")[0]
