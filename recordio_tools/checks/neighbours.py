"""The files beside a record file: `property` and the listing, against what the records say."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recordio_tools._tables import Property, read_property
from recordio_tools.checks.contents import Teller
from recordio_tools.checks.findings import Findings
from recordio_tools.checks.lines import Lines
from recordio_tools.checks.loose_index import positions_of
from recordio_tools.checks.roles import Roles
from recordio_tools.checks.survey import Survey
from recordio_tools.errors import FaceSetError, SourceError
from recordio_tools.index import Int64s

_LARGEST_PROPERTY = 1 << 16


def read_property_of(rec: Path, out: Findings, *, needed: bool) -> Property | None:
    """What `property` beside `rec` says; None where it says nothing, which is a finding unless it is not `needed`."""
    path = rec.with_name("property")
    if not path.exists():
        if needed:
            out.add("property.missing", path, "not there, expected one line: classes,height,width")
        return None
    if not path.is_file() or path.stat().st_size > _LARGEST_PROPERTY:
        out.add("property.unreadable", path, "found no small text file, expected one line: classes,height,width")
        return None
    try:
        return read_property(path)
    except FaceSetError as error:
        out.add("property.unreadable", path, str(error).removeprefix(f"{path}: "))
        return None


def image_keys(found: Survey, roles: Roles) -> Int64s:
    """The key of each image that the set should have, in the order in which `property` and the listing count."""
    if roles.bounds is not None and not roles.rounded:
        return np.arange(1, roles.bounds[0])
    if roles.bounds is None and len(found.index.keys):
        return found.index.keys
    return found.keys[roles.images]


def check_property(tell: Teller, roles: Roles, said: Property) -> None:
    """The number of images that newer sets have, and the word of shuffled ones."""
    count = len(image_keys(tell.found, roles))
    if said.images is not None and said.images != count and not roles.rounded:
        text = f"found {said.images:,} images claimed, expected {count:,} as in {tell.found.rec}"
        tell.out.add("property.images", said.path, text)
    if tell.found.shuffled and roles.ranges.any():
        text = f"found the word shuffled, but {tell.found.rec} has identity records, expected images only"
        tell.out.add("property.shuffled", said.path, text)


def check_listing(tell: Teller, roles: Roles, mixed: NDArray[np.bool_]) -> None:
    """Each line's label against the image's; images that are lost, or in `mixed` told already, are passed over."""
    found, out = tell.found, tell.out
    path = found.rec.with_suffix(".lst")
    if not path.exists():
        return
    try:
        lines = Lines(path)
    except SourceError:
        out.add("listing.unreadable", path, "is no file, expected one line an image; remove it")
        return
    wanted = image_keys(found, roles)
    same = len(lines) == len(wanted)
    if not same and not roles.rounded:
        out.add(
            "listing.count",
            path,
            f"found {len(lines):,} lines, expected {len(wanted):,} as {found.rec} has images; remove it if it belongs "
            "to another set",
        )
    labels = listed_labels(found, roles, mixed, wanted) if same else None
    for number in range(len(lines)):
        line = lines.listed(number)
        if line is None:
            text = f"line {number + 1:,}: found {lines.text(number)[:60]!r}, expected: 1 TAB path TAB label"
            out.add("listing.bad-line", path, text)
        elif labels is not None and labels[number] not in (-1, line.label):
            text = f"line {number + 1:,}: found label {line.label}, expected {labels[number]} as the image has"
            out.add("listing.label", path, text, key=int(wanted[number]))


def listed_labels(found: Survey, roles: Roles, mixed: NDArray[np.bool_], wanted: Int64s) -> Int64s:
    """The label of each image in the order of the listing, -1 where there is none to hold a line against."""
    good = np.flatnonzero(roles.images & found.table.whole_labels() & ~mixed)
    good = good[np.argsort(found.keys[good], kind="stable")]
    places = positions_of(wanted, found.keys[good])
    labels = np.append(found.table.labels[good, 0].astype(np.int64), -1)
    return labels[places]
