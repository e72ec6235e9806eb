"""Evaluation files, read back and checked to belong together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facerec_oltr.errors import DataError
from facerec_oltr.evaluate import FORMAT, VERSION

Evaluation = dict[str, Any]

_ALIKE = ("face_set", "targets", "fpir_grid")  # what must be the same in every split


def read_evaluations(paths: Sequence[Path]) -> list[Evaluation]:
    """Read the evaluations of one or many training splits.

    Raises:
        DataError: none given, one is missing or no evaluation, one is there twice, or they differ in face set,
            protocol, targets or models.
    """
    if not paths:
        raise DataError("no evaluation was given; make one with: facerec evaluate-faces")
    results = [_read(path) for path in paths]
    for place, (path, result) in enumerate(zip(paths, results, strict=True)):
        _check_alike(path, result, paths[0], results[0])
        if result in results[:place]:
            twin = paths[results.index(result)]
            raise DataError(f"{path}: the same evaluation as {twin}, which would make the spread too small; leave one")
    return results


def _read(path: Path) -> Evaluation:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); expected a file made by: facerec evaluate-faces"
        ) from error
    except ValueError:
        result = None
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise DataError(f"{path}: is not an evaluation; expected a file made by: facerec evaluate-faces")
    if result.get("version") != VERSION:
        raise DataError(
            f"{path}: is an evaluation of version {result.get('version')}, expected {VERSION}; evaluate again"
        )
    return result


def _check_alike(path: Path, result: Evaluation, first: Path, expected: Evaluation) -> None:
    for name in _ALIKE:
        if result[name] != expected[name]:
            raise DataError(f"{path}: differs from {first} in {name}; only evaluations made alike can be averaged")
    if {**result["protocol"], "seed": 0} != {**expected["protocol"], "seed": 0}:
        raise DataError(f"{path}: differs from {first} in its protocol; evaluate both with the same options")
    if _rules(result) != _rules(expected):
        raise DataError(f"{path}: differs from {first} in its score rules; evaluate both with the same --rules")
    if _roles(result) != _roles(expected):
        raise DataError(
            f"{path}: has the models {', '.join(result['models'])}, but {first} has {', '.join(expected['models'])}; "
            "evaluate both with the same models"
        )


def _roles(result: Evaluation) -> list[tuple[str, str]]:
    return [(name, facts["role"]) for name, facts in result["models"].items()]


def _rules(result: Evaluation) -> dict[str, Any]:
    """The rules that were compared; none in an evaluation of the cosine alone."""
    return result.get("rules", {}).get("configs", {})
