"""From two small files to one checked experiment.

    configs/datasets/NAME.toml   what a benchmark fixes: data, backbone, schedule, augmentation
    configs/methods/NAME.toml    what a method is: its stages

A key that both files set is an error, so no rule of precedence exists. A true exception of a method on one data set
stands in the method file under ``[on.NAME]`` and is the only thing that may replace a data set's value. ``--set
key=value`` comes last. Defaults live in the components' code; no file inherits from another.
"""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from facerec_oltr.components import Config
from facerec_oltr.data import DataConfig
from facerec_oltr.errors import ConfigError
from facerec_oltr.experiment import Experiment

Table = dict[str, Any]
Kind = Literal["methods", "datasets"]

_PACKAGE = Path(__file__).parent


def config_folder() -> Path:
    """The folder of the configs that travel with the package; in a checkout, the one beside the package."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def available(kind: Kind) -> list[str]:
    """Names of the configs of that kind, sorted."""
    return sorted(path.stem for path in (config_folder() / kind).glob("*.toml"))


def load_experiment(method: str, dataset: str, *, seed: int = 0, overrides: Sequence[str] = ()) -> Experiment:
    """Join a method and a data set into a checked experiment.

    Args:
        method: the name of a method, or the path of a .toml file.
        dataset: the name of a data set, or the path of a .toml file.
        seed: from which all chance of the run follows.
        overrides: ``key=value`` strings, such as ``schedule.epochs=3`` or ``stages.0.share=0.5``; a value is read
            as TOML, and as a plain string where it is none.

    Raises:
        ConfigError: an unknown name (the nearest is named), a file that is not TOML, a key set twice, an unknown
            key, a value out of range, stages that do not fit together.
    """
    method_path, dataset_path = _find("methods", method), _find("datasets", dataset)
    method_table, merged = _read(method_path), _read(dataset_path)
    exceptions = method_table.pop("on", {}).get(dataset_path.stem, {})
    _refuse_keys_set_twice(method_table, method_path, merged, dataset_path)
    for table in (method_table, exceptions):
        _merge(merged, table)
    for override in overrides:
        _apply(merged, override)
    merged |= {"method": method_path.stem, "dataset": dataset_path.stem, "seed": seed}
    return check_experiment(merged, f"{method_path.name} on {dataset_path.name}")


def load_data(dataset: str, *, root: Path | None = None, overrides: Sequence[str] = ()) -> DataConfig:
    """Read what a data set's file says of its data, without a method.

    Args:
        dataset: the name of a data set, or the path of a .toml file.
        root: where it lies, if not where the file says: `root` of images in files, `path` of other kinds.
        overrides: as for ``load_experiment``.

    Raises:
        ConfigError: as ``load_experiment``.
    """
    path = _find("datasets", dataset)
    table = _read(path)
    if root is not None and isinstance(data := table.setdefault("data", {}), dict):
        data["root" if data.get("kind") in ("image_list", "image_folder") else "path"] = str(root)
    for override in overrides:
        _apply(table, override)
    try:
        return _DataOnly.model_validate_json(json.dumps({"data": table.get("data", {})}, default=str)).data
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {_one_line(error, table)}") from None


class _DataOnly(Config):
    data: DataConfig


def check_experiment(table: Mapping[str, Any], source: str) -> Experiment:
    """Turn a table into an experiment.

    Raises:
        ConfigError: the first thing that is wrong, with `source` in front.
    """
    try:
        return Experiment.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError(f"{source}: {_one_line(error, table)}") from None


def _find(kind: Kind, name: str) -> Path:
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{name}: there is no such file; expected a config of {kind}")
        return path
    names = available(kind)
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ConfigError(f"unknown {kind[:-1]} {name!r}; {hint}known: {', '.join(names)}, or the path of a .toml")
    return config_folder() / kind / f"{name}.toml"


def _read(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


def _leaves(table: Table, prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(cast(Table, value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _refuse_keys_set_twice(method: Table, method_path: Path, dataset: Table, dataset_path: Path) -> None:
    if twice := sorted(set(_leaves(method)) & set(_leaves(dataset))):
        raise ConfigError(
            f"{twice[0]} is set by both {method_path} and {dataset_path}; remove one, or move the method's to "
            f"[on.{dataset_path.stem}]"
        )


def _merge(into: Table, table: Table) -> None:
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], cast(Table, value))
        else:
            into[key] = value


def _apply(table: Table, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected key=value, such as schedule.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *path, last = key.split(".")
    place: Any = table
    try:
        for step in path:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(f"--set {override}: the experiment has no place called {key}") from None


def _one_line(error: ValidationError, table: Mapping[str, Any]) -> str:
    first, *more = error.errors(include_url=False)
    place = _place(first["loc"], table)
    if first["type"] == "union_tag_not_found":
        place, message = f"{place}.kind", "is missing; set it in one of the two files or with --set"
    elif first["type"] == "union_tag_invalid":
        place = f"{place}.kind"
        message = f"found {first['ctx']['tag']!r}, expected one of {first['ctx']['expected_tags']}"  # pyright: ignore[reportTypedDictNotRequiredAccess]
    elif first["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    elif first["type"] == "missing":
        message = "is missing; set it in one of the two files or with --set"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"]) if "ctx" in first else first["msg"]
    else:
        message = f"found {first['input']!r}: {first['msg']}"
    return f"{place + ': ' if place else ''}{message}" + (f" (and {len(more)} more)" if more else "")


def _place(steps: tuple[int | str, ...], table: Any) -> str:
    """Where in the files an error lies: pydantic's steps without the kinds that it puts between a key and its own."""
    shown = []
    for step in steps:
        if isinstance(table, Mapping):
            if step not in table and table.get("kind") == step:
                continue
            table = table.get(step)
        elif isinstance(table, list) and isinstance(step, int):
            table = table[step]
        shown.append(str(step))
    return ".".join(shown)
