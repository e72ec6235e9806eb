"""A gallery, or one person, as a file of lines of JSON; and back into a gallery.

The first line says what the vectors are: format, embedder, detector, number of dimensions. Each further line is a
person with all that is held on them: templates with vectors (base64 of little-endian float32), photos' hashes and
paths, what was measured, dates, consent, and the faces that are said not to be them. So one format serves a person's
right to see what is held, a move to another machine, and whatever program somebody else writes.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import (
    NewNegative,
    NewTemplate,
    Outcome,
    PersonRecord,
    RecordedEmbedder,
    Vectors,
)
from recordio_tools.whole import write_whole

FORMAT = "facerec gallery"
VERSION = 2  # 1 knew no negatives; it must not pass over them unseen

Progress = Callable[[int, int], None]


def export_people(
    gallery: Gallery, to: Path, names: Sequence[str] | None = None, *, on_progress: Progress = lambda done, total: None
) -> int:
    """Write people to a file, whole or not at all, and note in the audit trail how many these were.

    Args:
        gallery: whose.
        to: a file that is not there yet.
        names: whom; everybody if None.
        on_progress: called after each person.

    Returns:
        How many people were written.

    Raises:
        GalleryError: the file is there already, or nobody has one of the names.
    """
    if to.exists():
        raise GalleryError(f"{to}: there is a file already; give another name, it holds what identifies people")
    chosen = list(gallery.identities()) if names is None else list(names)
    if names is not None:
        for name in names:
            gallery.person(name)  # before anything is written

    def lines() -> Iterator[bytes]:
        yield _line({"format": FORMAT, "version": VERSION, "embedder": asdict(gallery.embedder)})
        for done, name in enumerate(chosen, 1):
            yield _line(person_as_json(gallery.person(name)))
            on_progress(done, len(chosen))

    write_whole(to, lines(), private=True)
    gallery.note("export", {"identities": len(chosen)})
    return len(chosen)


def person_as_json(person: PersonRecord) -> dict[str, Any]:
    """All that is held on somebody, as plain JSON values."""
    summary = person.summary
    return {
        "name": summary.name,
        "created": summary.created,
        "expires": summary.expires,
        "consent": summary.consent,
        "templates": [
            {
                "photo_sha256": t.photo_sha256,
                "photo_path": t.photo_path,
                "quality": t.quality,
                "details": dict(t.details),
                "created": t.created,
                "vector": _text_of(t.vector),
            }
            for t in person.templates
        ],
        "negatives": [
            {
                "photo_sha256": n.photo_sha256,
                "photo_path": n.photo_path,
                "face": n.face,
                "created": n.created,
                "vector": _text_of(n.vector),
            }
            for n in person.negatives
        ],
    }


def import_people(
    gallery: Gallery, file: Path, *, on_progress: Progress = lambda done, total: None
) -> dict[Outcome, int]:
    """Add the people of such a file; a person who is there already gets what is not there yet.

    Each person is one transaction, and another for the faces that are said not to be them, so a stopped import goes on
    where it stopped. A person whose photos all stand elsewhere is not added, and neither are those faces.

    Returns:
        How many templates had which outcome.

    Raises:
        GalleryError: it is no such file, of another embedder, or a line is damaged; says which, and all lines before it
            are in the gallery.
    """
    counts: dict[Outcome, int] = {}
    rejected = 0
    try:
        with file.open("rb") as lines:
            total = sum(1 for _ in lines) - 1
            lines.seek(0)
            _check_head(gallery, file, lines.readline())
            for number, line in enumerate(lines, 2):
                person = _person(file, number, line, gallery.embedder.dimensions)
                done = gallery.enrol(person.name, person.templates, consent=person.consent, expires=person.expires)
                for one in done:
                    counts[one.outcome] = counts.get(one.outcome, 0) + 1
                if any(one.owner == person.name for one in done):
                    rejected += sum(gallery.reject(person.name, person.negatives))
                on_progress(number - 1, total)
    except OSError as error:
        raise GalleryError(f"{file}: {error.strerror}, expected what facerec gallery export wrote") from error
    gallery.note("import", {"templates": sum(counts.values()), "negatives": rejected})
    return counts


def _check_head(gallery: Gallery, file: Path, line: bytes) -> None:
    try:
        head = json.loads(line)
        if head["format"] != FORMAT:
            raise ValueError
        if head["version"] > VERSION:
            raise GalleryError(
                f"{file}: of version {head['version']}, this program knows {VERSION}; update facerec-oltr"
            )
        embedder = RecordedEmbedder(**head["embedder"])
    except (ValueError, KeyError, TypeError):
        raise GalleryError(f"{file}: not what facerec gallery export writes; give such a file") from None
    gallery.check_embedder(embedder)


@dataclass(frozen=True)
class _Person:
    name: str
    templates: list[NewTemplate]
    negatives: list[NewNegative]
    consent: str | None
    expires: date | None


def _person(file: Path, number: int, line: bytes, dimensions: int) -> _Person:
    try:
        person = json.loads(line)
        templates = [
            NewTemplate(
                _vector_of(t["vector"], dimensions),
                t["photo_sha256"],
                t["photo_path"],
                float(t["quality"]),
                t["details"],
            )
            for t in person["templates"]
        ]
        negatives = [
            NewNegative(_vector_of(n["vector"], dimensions), n["photo_sha256"], n["photo_path"], int(n["face"]))
            for n in person.get("negatives", ())  # version 1 has none
        ]
        expires = date.fromisoformat(person["expires"]) if person["expires"] else None
        return _Person(person["name"], templates, negatives, person["consent"], expires)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise GalleryError(
            f"{file}: line {number} is damaged ({error}), expected a person; export it again. The lines before it are "
            "in the gallery"
        ) from error


def _text_of(vector: Vectors) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _vector_of(text: str, dimensions: int) -> Vectors:
    vector = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    if vector.shape != (dimensions,):
        raise ValueError(f"a vector of {len(vector)} numbers")
    return vector.astype(np.float32)


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "surrogateescape")
