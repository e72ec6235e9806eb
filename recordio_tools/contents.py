"""What each record of a file is: where it stands, what its header says, and the kind of its content.

Any record file will do, face set or not. One record is looked at at a time, so that a file of any size can be
listed in little memory.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recordio_tools.errors import DamageError, MissingKeyError, SourceError
from recordio_tools.header import FLOAT32_EXACT, HEADER, Header, unpack
from recordio_tools.index import Int64s
from recordio_tools.reader import Reader

_MOST_LABELS_SHOWN = 8
_MOST_KEYS = 1 << 32  # of a set; the largest that is known has 45 million
_KEYS = re.compile("([0-9]{1,18})(?:-([0-9]{1,18}))?")
_KINDS = {".jpg": "JPEG", ".png": "PNG", ".bin": "other content"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One record.

    Attributes:
        key: Its key in the index.
        offset: Where it starts in the file.
        length: Bytes of its payload, the header included.
        header: None of a raw record, whose bytes cannot be an image record's header and labels.
        content: Bytes behind the header and labels, or of the whole payload of a raw record.
        kind: JPEG, PNG, other content, empty, raw record, header record, or identity record.
    """

    key: int
    offset: int
    length: int
    header: Header | None
    content: int
    kind: str

    @property
    def labels(self) -> list[float]:
        """All labels; a scalar one counts as one."""
        return [] if self.header is None else np.ravel(self.header.label).tolist()

    def line(self) -> str:
        """Key, offset, length, flag, labels, id and kind, between tabs; `-` where a raw record has none."""
        place = f"{self.key}\t{self.offset}\t{self.length}"
        if self.header is None:
            return f"{place}\t-\t-\t-\t{self.kind}"
        labels = ",".join(f"{label:.9g}" for label in self.labels[:_MOST_LABELS_SHOWN])
        more = f",... ({len(self.labels)})" if len(self.labels) > _MOST_LABELS_SHOWN else ""
        return f"{place}\t{self.header.flag}\t{labels}{more}\t{self.header.id}\t{self.kind}"

    def facts(self) -> dict[str, Any]:
        """The same for JSON; a label that is no finite number comes as text, since JSON knows none."""
        facts: dict[str, Any] = {"key": self.key, "offset": self.offset, "length": self.length}
        if self.header is not None:
            labels = [label if np.isfinite(label) else str(label) for label in self.labels]
            facts |= {"flag": self.header.flag, "labels": labels, "id": self.header.id, "id2": self.header.id2}
        return facts | {"content": self.content, "kind": self.kind}


def describe(reader: Reader, places: Int64s) -> Iterator[Entry]:
    """What the records at `places` in the index are, in that order.

    Raises:
        DamageError: A record breaks the format; the ones before it have been told.
    """
    identities = _identity_keys(reader)
    for place in places.tolist():
        yield _entry(reader, place, identities)


def in_file_order(reader: Reader) -> Int64s:
    """The places in the index of all records, in the order in which they stand in the file."""
    return np.argsort(reader.index.offsets, kind="stable")


def select(reader: Reader, wanted: Sequence[str]) -> Int64s:
    """The places in the index of the records that `wanted` names, in that order, each once.

    Args:
        reader: The record file.
        wanted: Keys as `17`, which must be there, or ranges with both ends included as `100-110`, of which at
            least one must be.

    Raises:
        SourceError: A text is neither.
        MissingKeyError: The index holds no such key.
    """
    chosen: list[Int64s] = []
    for text in wanted:
        match = _KEYS.fullmatch(text)
        if not match:
            raise SourceError(f"{text[:60]!r} was given, expected a key as 17 or a range of keys as 100-110")
        first = int(match[1])
        if match[2] is None:
            chosen.append(np.array([reader.index.position(first)], np.int64))
            continue
        inside = np.flatnonzero((reader.keys >= first) & (reader.keys <= int(match[2])))
        if not len(inside):
            raise MissingKeyError(f"{reader.index.path}: no key from {first} to {match[2]}; see: recordio cat")
        chosen.append(inside[np.argsort(reader.keys[inside], kind="stable")])
    return each_once(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


def each_once(places: Int64s) -> Int64s:
    """`places` without repetitions, in the order of their first appearance."""
    return places[np.sort(np.unique(places, return_index=True)[1])]


def suffix_of(content: bytes | memoryview) -> str:
    """`.jpg`, `.png` or, for anything else, `.bin`, after the content's first bytes."""
    start = bytes(content[:8])
    if start.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    return ".png" if start == b"\x89PNG\r\n\x1a\n" else ".bin"


def _identity_keys(reader: Reader) -> range:
    """The keys among which identity records lie; none where record 0 is no face set's header record.

    The rule is that of `faces`, for any file and without a complaint. Above 2^24 the header's numbers are
    rounded, so the first identity is looked for around the number that stands there.
    """
    if not _is_range(reader, 0):
        return range(0)
    start, end = np.ravel(unpack(reader.view(0))[0].label).tolist()
    if not 2 <= start < end <= _MOST_KEYS:
        return range(0)
    step = int(np.spacing(np.float32(end))) if end > FLOAT32_EXACT else 0
    around = range(int(start) - step, int(start) + step + 1)
    first = next((key for key in around if key > 0 and _is_range(reader, key)), None)
    return range(0) if first is None else range(first, int(end) + step)


def _is_range(reader: Reader, key: int) -> bool:
    if key not in reader:
        return False
    payload = reader.view(key)
    return len(payload) == HEADER.size + 8 and HEADER.unpack_from(payload)[0] == 2


def _entry(reader: Reader, place: int, identities: range) -> Entry:
    key, offset = int(reader.keys[place]), int(reader.index.offsets[place])
    payload = reader.view_at(place)
    try:
        header, content = unpack(payload)
    except DamageError:  # sound as a record, but not one of an image: that is what we are asked
        return Entry(key, offset, len(payload), None, len(payload), "raw record")
    if identities and key == 0:
        kind = "header record"
    elif key in identities and header.flag == 2 and not len(content):
        kind = "identity record"
    else:
        kind = _KINDS[suffix_of(content)] if len(content) else "empty"
    return Entry(key, offset, len(payload), header, len(content), kind)
