"""What a finding is, every code there is, and a list of findings that stays short whatever the file holds."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["damage", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("damage", "warning", "note")

CODES: dict[str, Severity] = {
    # the record file, byte by byte
    "framing.bad-magic": "damage",  # a record's first four bytes are wrong
    "framing.gap": "damage",  # bytes that belong to no record
    "framing.bad-flag": "damage",
    "framing.overrun": "damage",  # a length that passes the head of another record
    "framing.truncated": "damage",  # a length that passes the end of the file
    "framing.incomplete": "damage",  # a record of several parts without its last one
    "framing.orphan": "damage",  # a middle or last part without a first one
    "framing.oversized": "damage",
    "framing.padding": "warning",
    # the index against the records
    "index.missing": "damage",
    "index.no-index": "note",  # a shuffled set for sequential readers comes without one
    "index.empty": "damage",
    "index.bad-line": "damage",
    "index.unaligned": "damage",
    "index.duplicate-key": "damage",
    "index.duplicate-offset": "damage",
    "index.past-end": "damage",
    "index.no-record": "damage",
    "index.other-file": "damage",
    "index.unindexed": "damage",
    # each record
    "record.none": "warning",
    "record.not-images": "note",
    "record.short-header": "damage",
    "record.labels": "damage",
    "record.id": "warning",
    "record.ids": "note",
    # the header record and the identity ranges
    "header.bad": "damage",
    "header.missing": "damage",
    "ranges.rounded": "warning",
    "ranges.missing": "damage",
    "ranges.not-a-range": "damage",
    "ranges.order": "damage",
    "ranges.stray": "damage",
    "images.missing": "damage",
    "images.stray": "warning",
    # labels, property, train.lst
    "labels.not-whole": "damage",
    "labels.mixed": "damage",
    "labels.shared": "warning",
    "labels.too-high": "damage",
    "labels.unused": "note",
    "property.missing": "warning",
    "property.unreadable": "damage",
    "property.images": "damage",
    "property.shuffled": "warning",
    "listing.unreadable": "damage",
    "listing.bad-line": "damage",
    "listing.count": "damage",
    "listing.label": "damage",
    # a view: its own files, and the set that it looks into
    "view.manifest": "damage",  # it does not say what the view looks into, or whom it leaves out
    "view.changed": "damage",  # view.npz is not the file that the manifest describes
    "view.arrays": "damage",
    "view.no-records": "damage",
    "view.source": "damage",  # the set that it looks into cannot be opened
    "view.other-records": "damage",  # those are not the records of when it was made
    "view.output": "damage",  # the manifest counts other images or identities than the view has
    "view.classes": "damage",  # so does property
    "view.key": "damage",  # no image has this key
    # the lists of the people whom a view leaves out
    "open.missing": "damage",
    "open.bad-line": "damage",
    "open.count": "damage",
    "open.key": "damage",
    "open.label": "damage",
    "open.overlap": "damage",  # an image or a person stands where they must not be met again
    # each image
    "image.empty": "damage",
    "image.cut-short": "damage",
    "image.header": "damage",
    "image.unknown": "warning",
    "image.size": "warning",
    "image.too-large": "warning",
    "image.undecodable": "damage",
    "duplicates.within": "note",
    "duplicates.across": "warning",
}
"""Damage is what loses bytes, or what this package would refuse to read; the rest may be meant."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: "damage", "warning" or "note".
        code: What it is, for machines: one of `CODES`.
        file: The file in which it shows.
        key: The record's key, None where none is known or where it is about the whole file.
        offset: Byte offset in the record file, None where it is about no place in it.
        message: One line for a person, with file, key and offset in it.
    """

    severity: Severity
    code: str
    file: Path
    key: int | None
    offset: int | None
    message: str


class Findings:
    """Findings in the order in which they were made: the first `limit` of each code, the others only counted."""

    def __init__(self, limit: int) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._limit = limit

    def add(self, code: str, file: Path, text: str, *, key: int | None = None, offset: int | None = None) -> None:
        """Note one finding; `text` says what was found and what was expected."""
        severity = CODES[code]
        self.counts[code] += 1
        if self.counts[code] <= self._limit:
            places = [] if key is None else [f"key {key}"]
            places += [] if offset is None else [f"byte {offset:,}"]
            message = ": ".join([str(file), *([", ".join(places)] if places else []), text])
            self.kept.append(Finding(severity, code, file, key, offset, " ".join(message.split())))

    def add_each(self, code: str, items: Iterable[int], number: int, add: Callable[[int], None]) -> None:
        """Note `number` findings of one code: `add` makes those that are kept, the others are counted.

        Args:
            code: The code that `add` notes.
            items: What `add` is called with, one after another.
            number: How many items there are.
            add: Notes the finding of one item.
        """
        room = max(0, min(number, self._limit - self.counts[code]))
        for item, _ in zip(items, range(room), strict=False):
            add(int(item))
        self.counts[code] += number - room

    def total(self, severity: Severity) -> int:
        """How many findings of this severity there are, those that are only counted included."""
        return sum(number for code, number in self.counts.items() if CODES[code] == severity)
