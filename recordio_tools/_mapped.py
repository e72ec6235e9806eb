"""A file's bytes as a read-only view."""

import mmap
from pathlib import Path

from recordio_tools.errors import SourceError


def map_file(path: Path) -> memoryview:
    """A file's bytes, mapped read-only; the mapping ends with the last view of it.

    Raises:
        SourceError: There is no such file, or it is a folder.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return memoryview(b"")  # an empty file cannot be mapped
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise SourceError(f"{path}: not there; expected a record file") from None
    except IsADirectoryError:
        raise SourceError(f"{path}: is a folder, expected a record file") from None
