"""Small protocols written by hand."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from facerec_oltr.protocols import Protocol, SearchSet, Source, TemplateList

SOURCE = Source("folder", "ab" * 32, 9, 5)


def photos(*keys: str, hashed: bool = True) -> TemplateList:
    """Templates of one photo each, `person/number`."""
    digests = [hashlib.sha256(key.encode()).hexdigest() if hashed else "" for key in keys]
    return TemplateList.of_photos(keys, [key.partition("/")[0] for key in keys], digests)


def lists(**changed: Sequence[str] | TemplateList) -> dict[str, TemplateList]:
    """Ann and Bob enrolled, Cem a stranger, Dia for calibration, Eve a distractor; parts may be changed."""
    parts: dict[str, Any] = {
        "gallery": ["ann/0", "ann/1", "bob/0"],
        "mated": ["ann/2", "bob/1"],
        "strangers": ["cem/0"],
        "calibration": ["dia/0", "dia/1"],
        "distractors": ["eve/0"],
    }
    return {name: part if isinstance(part, TemplateList) else photos(*part) for name, part in (parts | changed).items()}


def protocol(templates: Mapping[str, TemplateList] | None = None, **changed: Any) -> Protocol:
    """The protocol of `lists`, in one search set."""
    found = lists() if templates is None else templates
    if "searches" not in changed:
        changed["searches"] = {"open": SearchSet(**{part: (part,) for part in found})}
    return Protocol(**({"name": "small", "source": SOURCE, "lists": found} | changed))


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """What a person would write in an editor: no counts, no fingerprint, no hashes."""
    folder = tmp_path / "by_hand"
    folder.mkdir()
    head = "template\tperson\tmedium\timage\tsha256\n"
    (folder / "gallery.tsv").write_text(head + "t1\tann\t0\tann/0.png\t-\nt1\tann\t1\tann/1.png\t-\n")
    (folder / "mated.tsv").write_text(head + "p1\tann\t0\tann/2.png\t-\n")
    (folder / "strangers.tsv").write_text(head + "p2\tbob\t0\tbob/0.png\t-\n")
    manifest = {
        "format": "facerec protocol",
        "version": 1,
        "name": "mine",
        "source": {"kind": "folder", "fingerprint": "", "images": 4, "people": 2},
        "lists": ["gallery", "mated", "strangers"],
        "search_sets": {"open": {"gallery": ["gallery"], "mated": ["mated"], "strangers": ["strangers"]}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return folder
