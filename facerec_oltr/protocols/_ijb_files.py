"""The files of IJB-B and IJB-C as they are: CSV of NIST, lists of InsightFace; each line checked."""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from facerec_oltr.errors import DataError

_BOX = ("FACE_X", "FACE_Y", "FACE_WIDTH", "FACE_HEIGHT")
_MEDIUM = ("MEDIA_ID", "SIGHTING_ID")

Images = Mapping[str, Sequence[tuple[str, str]]]  # of each template: (image, medium)


def read_table(path: Path, of_crop: Images | None) -> tuple[dict[str, Sequence[tuple[str, str]]], dict[str, str]]:
    """(images of each template, subject of each template) of one CSV of 1:N."""
    images: dict[str, list[tuple[str, str]]] = {}
    subjects: dict[str, str] = {}
    for number, row in _rows(path, ("TEMPLATE_ID", "SUBJECT_ID", "FILENAME")):
        template, subject = row["TEMPLATE_ID"], row["SUBJECT_ID"]
        if subjects.setdefault(template, subject) != subject:
            raise DataError(
                f"{path}: line {number:,}: template {template} is of subject {subject}, but of {subjects[template]} "
                "above, expected one"
            )
        images.setdefault(template, []).append(_image(row, path) if of_crop is None else ("", ""))
    if of_crop is None:
        return dict(images), subjects
    if missing := [template for template in images if template not in of_crop]:
        raise DataError(
            f"{path}: template {missing[0]} has no crop in the face_tid_mid.txt beside it; get the lists again"
        )
    return {template: of_crop[template] for template in images}, subjects


def _image(row: dict[str, str], path: Path) -> tuple[str, str]:
    """(image, medium) of a line of NIST's lists."""
    medium = next((row[name] for name in _MEDIUM if name in row), None)
    if medium is None:
        raise DataError(
            f"{path}: has no column {' or '.join(_MEDIUM)}, which says which frames are of one video; put "
            "the face_tid_mid.txt of the crops beside it"
        )
    box = [row[name] for name in _BOX if name in row]
    return (f"{row['FILENAME']}#{','.join(box)}" if len(box) == len(_BOX) else row["FILENAME"]), medium


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a CSV with a first line of names, by number from 2."""
    if not path.is_file():
        raise DataError(f"{path}: not there, expected it beside the other lists of 1:N; get the lists again")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            head = next(reader, [])
            if lacking := [name for name in needed if name not in head]:
                raise DataError(f"{path}: line 1: found no column {lacking[0]}, expected {','.join(needed)}")
            for number, fields in enumerate(reader, 2):
                row = dict(zip(head, fields, strict=False))
                if len(fields) != len(head) or not all(row[name] for name in needed):
                    raise DataError(
                        f"{path}: line {number:,}: found {','.join(fields)[:60]!r}, expected {len(head)} fields as in "
                        "line 1"
                    )
                yield number, row
        except (csv.Error, UnicodeDecodeError):
            raise DataError(f"{path}: is no list of templates in CSV; get it again") from None


def read_crops(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The crops of each template, with their media, of a face_tid_mid.txt."""
    found: dict[str, list[tuple[str, str]]] = {}
    for number, fields in columns(path, " "):
        if len(fields) != 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise DataError(f"{path}: line {number:,}: found {' '.join(fields)[:60]!r}, expected: crop template medium")
        found.setdefault(fields[1], []).append((fields[0], fields[2]))
    return found


def columns(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that is not empty, by number from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if text := line.strip():
                    yield number, [field.strip() for field in text.split(delimiter) if field.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text, expected a list; get it again") from None


def digest_of(files: list[Path]) -> str:
    """SHA-256 of the names and contents of files."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
