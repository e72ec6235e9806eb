"""Which code decides a figure: what a mended formula has measured is another figure, and is measured anew."""

import hashlib
from functools import cache
from pathlib import Path

import facerec_oltr

DECIDING = ("bench", "metrics", "protocols", "scoring", "components.py", "weibull.py")
"""Folders and files of the package by which vectors become figures. Vectors are told by their model's fingerprint."""


@cache
def code_fingerprint() -> str:
    """SHA-256 of the names and contents of the source files of ``DECIDING``."""
    return fingerprint_of(deciding_files(), Path(facerec_oltr.__file__).parent)


def deciding_files() -> list[Path]:
    """The files of ``DECIDING``, in the order of their names."""
    root = Path(facerec_oltr.__file__).parent
    found = [
        file
        for name in DECIDING
        for file in ((root / name).rglob("*.py") if (root / name).is_dir() else (root / name,))
    ]
    return sorted(found, key=lambda file: file.relative_to(root).as_posix())


def fingerprint_of(files: list[Path], root: Path) -> str:
    """SHA-256 of the names, from `root` on, and contents of some files."""
    digest = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()
