"""Whom to enrol by which photos: a person, and a table of persons."""

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from facerec_oltr.errors import DataError


@dataclass(frozen=True)
class ToEnrol:
    """A person and the photos to enrol.

    Attributes:
        name: under which.
        paths: the photos.
        consent: a reference to the consent that this rests on.
        expires: the day from which the person is to be purged.
    """

    name: str
    paths: tuple[Path, ...]
    consent: str | None = None
    expires: date | None = None


def read_csv(file: str | Path) -> list[ToEnrol]:
    """People and photos of a table with the columns ``path`` and ``name``, and if wanted ``consent`` and ``expires``.

    Paths are taken from the table's folder. Lines of one name need not stand together.

    Raises:
        DataError: it is missing, not such a table, or a line lacks what it needs; says which line.
    """
    file = Path(file)
    people: dict[str, ToEnrol] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            missing = {"path", "name"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"{file}: found the columns {', '.join(reader.fieldnames or ['none'])}, expected path and name, "
                    "and if wanted consent and expires; add a first line that names them"
                )
            for row in reader:
                one = _line(file, reader.line_num, row)
                known = people.setdefault(one.name, ToEnrol(one.name, (), one.consent, one.expires))
                if (known.consent, known.expires) != (one.consent, one.expires):
                    raise DataError(
                        f"{file}: line {reader.line_num}: {one.name!r} has another consent or expires than on an "
                        "earlier line; give all lines of a person the same"
                    )
                people[one.name] = ToEnrol(one.name, (*known.paths, *one.paths), one.consent, one.expires)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}, expected a table with the columns path and name") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not a table in UTF-8 ({error}); save it as CSV with commas") from error
    if not people:
        raise DataError(f"{file}: has no line below its heading; add a line for each photo")
    return list(people.values())


def _line(file: Path, number: int, row: dict[str, Any]) -> ToEnrol:
    path, name = ((row[column] or "").strip() for column in ("path", "name"))
    if not path or not name or None in row:
        raise DataError(
            f"{file}: line {number}: found {list(row.values())}, expected a path and a name, no more columns"
        )
    expires = (row.get("expires") or "").strip()
    try:
        day = date.fromisoformat(expires) if expires else None
    except ValueError:
        raise DataError(f"{file}: line {number}: expires is {expires!r}, expected a date such as 2027-12-31") from None
    return ToEnrol(name, (file.parent / path,), (row.get("consent") or "").strip() or None, day)
