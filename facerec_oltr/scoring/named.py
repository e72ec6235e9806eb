"""Rules as a person names them on a command line: ``cosine,nac:k=8``."""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from facerec_oltr.errors import ConfigError
from facerec_oltr.scoring import ScoreConfig, ScoreRule

_ADAPTER: TypeAdapter[Any] = TypeAdapter(ScoreConfig)


def read_rules(text: str) -> dict[str, ScoreRule]:
    """Rules by name, in order: names divided by commas, each with options divided by colons.

    Raises:
        ConfigError: no such rule or option, a value that does not fit, a rule that is there twice.
    """
    rules: dict[str, ScoreRule] = {}
    for named in filter(None, (part.strip() for part in text.split(","))):
        if named in rules:
            raise ConfigError(f"the rule {named!r} is there twice; give each once")
        rules[named] = _rule(named)
    if not rules:
        raise ConfigError(f"found no rule in {text!r}; expected some of {', '.join(rule_kinds())}")
    return rules


def rule_kinds() -> list[str]:
    """The names of all rules."""
    return sorted(_ADAPTER.json_schema()["discriminator"]["mapping"])


def _rule(named: str) -> ScoreRule:
    kind, *options = named.split(":")
    if kind not in rule_kinds():
        raise ConfigError(f"no rule is called {kind!r}; expected one of {', '.join(rule_kinds())}")
    values: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or key == "kind":
            raise ConfigError(f"{named}: found the option {option!r}, expected KEY=VALUE such as nac:k=8")
        values[key] = next((number for read in _NUMBERS if (number := _read(read, value)) is not None), value)
    try:
        return _ADAPTER.validate_python({"kind": kind, **values})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:]))
        raise ConfigError(f"{named}: {where}: {first['msg'].lower()}, found {first['input']!r}") from None


_NUMBERS: tuple[Callable[[str], int | float], ...] = (int, float)


def _read(read: Callable[[str], int | float], text: str) -> int | float | None:
    try:
        return read(text)
    except ValueError:
        return None
