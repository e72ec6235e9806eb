"""Finished parts of a benchmark, kept one by one: who is stopped goes on, and who asks for more computes only that."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from facerec_oltr.bench.results import Example, PairResult, SearchResult
from facerec_oltr.errors import DataError
from recordio_tools.whole import write_whole


@dataclass(frozen=True)
class Cell:
    """What one model and one rule did in one protocol; of pair sets, one model alone."""

    searches: tuple[SearchResult, ...] = ()
    examples: tuple[Example, ...] = ()
    pairs: tuple[PairResult, ...] = ()


_CELL = TypeAdapter(Cell)


class Cells:
    """Cells in a folder, each a file named by all that decides it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, decided_by: dict[str, Any]) -> Cell | None:
        """The cell, if it is there.

        Raises:
            DataError: its file is damaged.
        """
        path = self._path(decided_by)
        if not path.exists():
            return None
        try:
            held = json.loads(path.read_bytes())
            if held["decided_by"] != _plain(decided_by):
                raise ValueError
            return _CELL.validate_python(held["cell"])
        except (ValueError, TypeError, LookupError, ValidationError):
            raise DataError(f"{path}: is damaged; remove it, and it is measured again") from None

    def write(self, decided_by: dict[str, Any], cell: Cell) -> None:
        """Keep a cell."""
        self._folder.mkdir(parents=True, exist_ok=True)
        held = {"decided_by": decided_by, "cell": _CELL.dump_python(cell, mode="json")}
        write_whole(self._path(decided_by), (json.dumps(held, ensure_ascii=True, allow_nan=False) + "\n").encode())

    def _path(self, decided_by: dict[str, Any]) -> Path:
        text = json.dumps(_plain(decided_by), sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it: tuples are lists."""
    return json.loads(json.dumps(value))
