"""Hooks for cattrs that take a value as it is meant, and refuse what cattrs would convert."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from spawnery.model import duration as durations
from spawnery.model.secret import SecretRef, SecretSource
from spawnery.model.validators import shown

_FORMS: Final = (
    "{environment: NAME}, {file: PATH}, {engine: {name: NAME, key: KEY}} or {literal: TEXT}"
)
QUOTE: Final = "quote it"
"""Beginning of the hint where text was meant and something else was read."""


class Wrong(ValueError):
    """A value is not what its field takes; the field is told by where it was raised."""

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        super().__init__(problem)
        self.hint = hint


def wrong(value: object, allowed: str, *, hint: str | None = None) -> NoReturn:
    """Refuse a value, saying what is allowed."""
    msg = f"must be {allowed}, not {shown(value)}"
    raise Wrong(msg, hint=hint)


def text(value: Any, kind: Any) -> Any:
    """Take text; cattrs asks here for enumerations of text too."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return member(value, kind)
    if not isinstance(value, str):
        is_part = isinstance(value, Mapping | list | tuple)
        wrong(value, "text", hint=None if is_part else QUOTE)
    return value


def whole_number(value: Any, kind: Any) -> Any:
    """Take a whole number, or a member of an enumeration of such."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return member(value, kind)
    if isinstance(value, bool) or not isinstance(value, int):
        wrong(value, "a whole number")
    return value


def number(value: Any, _: Any) -> float:
    """Take a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        wrong(value, "a number")
    return value


def yes_or_no(value: Any, _: Any) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        wrong(value, "true or false")
    return value


def member(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    """Take the value of a member of an enumeration."""
    try:
        return kind(value)
    except ValueError:
        wrong(value, "one of " + ", ".join(str(member.value) for member in kind))


def quantity(value: Any, _: Any) -> Any:
    """Take a bare number as a quantity, for which YAML and TOML need no quotes."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def duration(value: Any, _: Any) -> Any:
    """Take a duration with units as seconds, and leave the rest to the model."""
    if not isinstance(value, str):
        return value
    seconds = durations.seconds_of(value)
    return wrong(value, durations.FORMS) if seconds is None else seconds


def secret_ref(value: Any, _: Any) -> SecretRef:
    """Make a reference; what was given may be the secret itself and is never shown."""
    if not isinstance(value, Mapping):
        msg = f"must be one of {_FORMS}, not a {type(value).__name__}"
        raise Wrong(msg)
    sources = [name for name in value if name != "optional"]
    if len(sources) != 1 or sources[0] not in set(SecretSource):
        msg = "must have exactly one of environment, file, engine, literal"
        raise Wrong(msg, hint=f"write {_FORMS}")
    source, place = SecretSource(sources[0]), value[sources[0]]
    if source is SecretSource.LITERAL:
        return _literal(place, value)
    optional = value.get("optional", False)
    if not isinstance(optional, bool):
        wrong(optional, "optional: true or optional: false")
    if source is SecretSource.ENGINE:
        return SecretRef.engine(*_engine_place(place), optional=optional)
    name = _place(place, source)
    return SecretRef(source=source, name=name, optional=optional)


def _literal(place: Any, value: Mapping[str, Any]) -> SecretRef:
    if "optional" in value:
        msg = "is a literal, which cannot be optional"
        raise Wrong(msg, hint="leave optional out")
    if place is None:
        hint = "give its value, or name where it is: {environment: NAME} or {file: PATH}"
        msg = "is a literal whose value was left out when it was written"
        raise Wrong(msg, hint=hint)
    if not isinstance(place, str):
        msg = f"must be a literal text, not a {type(place).__name__}"
        raise Wrong(msg, hint=QUOTE)
    return SecretRef.literal(place)


def _engine_place(place: Any) -> tuple[str, str]:
    if not isinstance(place, Mapping) or set(place) != {"name", "key"}:
        msg = "must have name and key"
        raise Wrong(msg, hint="write {engine: {name: NAME, key: KEY}}")
    return _place(place["name"], "engine.name"), _place(place["key"], "engine.key")


def _place(place: Any, what: str) -> str:
    if not isinstance(place, str) or not place or "\0" in place:
        msg = f"its {what} must be text that is not empty"
        raise Wrong(msg)
    return place
