"""The files of an optional distribution, found without importing it."""

import importlib.util
from pathlib import Path

from facerec_oltr.errors import DataError


def extra_folder(package: str, extra: str, purpose: str) -> Path:
    """The folder of a top-level package, which is not imported: its code may need what is not there.

    Raises:
        DataError: it is not installed; says how to.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a half-imported or stubbed package
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"{purpose}: {package} is not installed; install it with: pip install 'facerec-oltr[{extra}]'")
    return Path(next(iter(spec.submodule_search_locations)))


def extra_file(folder: Path, name: str, extra: str) -> Path:
    """A file in such a folder.

    Raises:
        DataError: the distribution is there but not the file.
    """
    path = folder / name
    if not path.is_file():
        raise DataError(
            f"{path}: not there, another version of {folder.name} is installed; "
            f"install ours with: pip install --force-reinstall 'facerec-oltr[{extra}]'"
        )
    return path
