"""What an index folder says of itself: one page, with a checksum."""

import json
import zlib
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

FORMAT = 1  # raised whenever older files can no longer be read
PAGE = 4096

_SUM = 8  # hex digits of the checksum that comes first


@dataclass
class Head:
    """The state of an index.

    Attributes:
        serial: of the gallery it follows.
        dimensions: D.
        fusion: of an identity's templates: max has a row a template, the others a row an identity.
        kind: of the index, which says what lies beside the vectors.
        layout: another whenever rows have moved.
        count: of rows, erased ones included.
        dead: of erased rows.
        longest: no vector is longer.
        changes: the gallery's counter as of which the rows are; -1 before they are any.
        last_template: the highest template number that was taken up.
        identities: how many people the gallery had.
        changing: whether a process is at work on the rows; true for longer if it was killed.
        rebuilding: whether its work leaves nothing to go on from.
        centroids_sum: CRC-32 of the file of centroids; None where there is none.
        trained_on: how many rows they come from.
        unsynced: the start of the machine since which changes may not be on the disk; empty where all are.
        format: of the files.
    """

    serial: str
    dimensions: int
    fusion: str
    kind: str
    layout: int = 0
    count: int = 0
    dead: int = 0
    longest: float = 0.0
    changes: int = -1
    last_template: int = 0
    identities: int = 0
    changing: bool = False
    rebuilding: bool = False
    centroids_sum: int | None = None
    trained_on: int = 0
    unsynced: str = ""
    format: int = FORMAT

    def page(self) -> bytes:
        """The page that tells it."""
        text = json.dumps(asdict(self)).encode()
        padded = text.ljust(PAGE - _SUM)
        assert len(padded) == PAGE - _SUM, "a head fits into its page"
        return b"%08x" % zlib.crc32(padded) + padded

    @classmethod
    def of_page(cls, page: bytes) -> Self | None:
        """The head that a page tells; None where the page is damaged or of another format."""
        if len(page) != PAGE or page[:_SUM] != b"%08x" % zlib.crc32(page[_SUM:]):
            return None
        told: dict[str, Any] = json.loads(page[_SUM:])
        if told.get("format") != FORMAT or set(told) != {field.name for field in fields(cls)}:
            return None
        return cls(**told)
