"""A folder of ours with any file names in it: whole or not at all, replaced only if it is as we left it."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recordio_tools.errors import SourceError
from recordio_tools.set_writer import MANIFEST, write_manifest
from recordio_tools.whole import whole_folder

_NAMES = "names_sha256"


@contextmanager
def made_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """As `whole_folder`; the block ends with `close_folder`, which makes the folder known as ours.

    Its manifest holds a digest of all names in it. An `out` in which a name has come or gone since then is
    never replaced: somebody works in it.

    Raises:
        SourceError: `out` may not be replaced.
    """
    ours = _names_of_ours(out, force)
    with whole_folder(out, ours, MANIFEST, force=force) as folder:
        yield folder
        _names_of_ours(out, force)  # again: the work took its time


def close_folder(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a finished folder."""
    write_manifest(folder, {**manifest, _NAMES: _digest(folder)})


def _names_of_ours(out: Path, force: bool) -> frozenset[str]:
    """The names in an `out` that is as we made it; otherwise only the manifest's, so that it is not replaced."""
    try:
        manifest = json.loads((out / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return frozenset({MANIFEST})  # not there, or nobody's that we know: `whole_folder` says what it finds
    if not isinstance(manifest, dict) or _NAMES not in manifest:
        return frozenset({MANIFEST})
    if not force:
        raise SourceError(f"{out}: recordio wrote it already; replace it with --force, or give another folder")
    if manifest[_NAMES] != _digest(out):
        raise SourceError(
            f"{out}: files were added, removed or renamed since recordio made it; give another folder, or remove it"
        )
    return frozenset(path.name for path in out.iterdir())


def _digest(folder: Path) -> str:
    """SHA-256 over the names of all that is in `folder`, the manifest left out; links are not followed."""
    digest = hashlib.sha256()
    for home, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.relpath(os.path.join(home, name), folder)  # noqa: PTH118
            if path != MANIFEST:
                digest.update(os.fsencode(path) + b"\0")
    return digest.hexdigest()
