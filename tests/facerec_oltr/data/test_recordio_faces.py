from pathlib import Path

import numpy as np
import torch

from facerec_oltr.data.recordio_faces import RecordIOFaces
from recordio_tools.build import build_longtail
from recordio_tools.images import encode_rgb
from recordio_tools.longtail import Rule
from recordio_tools.packing import pack_folder


def test_a_view_is_trained_on_like_the_set_that_a_copy_makes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for person in range(6):
        (tmp_path / "photos" / f"p{person}").mkdir(parents=True)
        for photo in range(5):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            (tmp_path / "photos" / f"p{person}" / f"{photo}.png").write_bytes(encode_rgb(pixels, ".png", 95))
    pack_folder(tmp_path / "photos", tmp_path / "set", size=24)
    rule = Rule("exponential", 14, 4, imbalance=4)
    build_longtail(tmp_path / "set", tmp_path / "copy", rule, seed=0)
    build_longtail(tmp_path / "set", tmp_path / "view", rule, seed=0, view=True)
    copy, view = (RecordIOFaces(tmp_path / name, 16) for name in ("copy", "view"))
    assert (len(view), view.classes) == (len(copy), copy.classes) == (14, 4)
    assert np.array_equal(view.labels, copy.labels)
    assert view.fingerprint != copy.fingerprint
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0)).numpy()
    assert np.array_equal(view.batch(order), copy.batch(order))
