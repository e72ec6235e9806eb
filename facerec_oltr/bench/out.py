"""The folder of a result: another question's answer is not written over unless that is asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from facerec_oltr.bench.results import EXAMPLES, RESULTS, BenchResult, Example, plain, read_results, write_results
from facerec_oltr.errors import DataError

_FIGURES = ("searches", "pairs")


def check_out(out: Path, wanted: BenchResult, *, force: bool) -> None:
    """Refuse a folder that holds something else than a result of the same choices.

    Args:
        out: the folder; it need not be there.
        wanted: the result without its figures.
        force: a result of other choices may be replaced.

    Raises:
        DataError: what it holds.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file, expected a folder to write to; give another name")
    held = {path.name for path in out.iterdir() if path.suffix != ".tmp"} if out.exists() else set()
    if not held:
        return
    if RESULTS not in held:
        raise DataError(f"{out}: holds {min(held)!r} but no {RESULTS}; give a new or empty folder")
    if force:
        return
    before, after = _choices(read_results(out)), _choices(wanted)
    if differing := [name for name in after if before.get(name) != after[name]]:
        raise DataError(
            f"{out}: holds a result of other choices ({', '.join(differing)}); replace it with --force, or give "
            "another folder"
        )


def put_result(out: Path, result: BenchResult, examples: tuple[Example, ...] | None) -> None:
    """Write a result; without examples, those that lie there go first."""
    out.mkdir(parents=True, exist_ok=True)
    if examples is None:
        (out / EXAMPLES).unlink(missing_ok=True)
    write_results(result, examples, out)


def _choices(result: BenchResult) -> dict[str, Any]:
    held = plain(replace(result, searches=(), pairs=()))
    return {name: value for name, value in held.items() if name not in _FIGURES}
