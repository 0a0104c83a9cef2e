"""From the text or TOML value of a setting to its type, with errors that name the place."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from spawnery.errors import ConfigurationError
from spawnery.model.secret import MASK, Secret

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


SUPPORTED: Final = "str, int, float, bool, Path, Secret or tuple[str, ...], each also with | None"
"""The types that a setting may have, for people."""


def supported(kind: Any) -> bool:
    """Tell whether values can be converted to a type."""
    try:
        kind = _without_none(kind)
    except ValueError:  # A union of several.
        return False
    return kind in _SCALARS or kind == tuple[str, ...]


def convert(
    value: Any,
    kind: Any,
    *,
    where: str,
    name: str,
    secret: bool = False,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """Convert what was given to the type of a setting.

    Args:
        value: Text from the environment or a flag, or a value of a TOML file.
        kind: The type of the field.
        where: Where it was given, for the error.
        name: The setting, for the error.
        secret: Whether the value must not be shown.
        check: Returns what is wrong with a value, or None.

    Raises:
        ConfigurationError: It is not allowed.
    """
    kind = _without_none(kind)
    secret = secret or kind is Secret
    found = _convert(value, kind, where=where, name=name, secret=secret)
    problem = check(found) if check is not None else None
    if problem is not None:
        _refuse(value, problem, where=where, name=name, secret=secret)
    return found


def shown(value: Any, *, secret: bool = False) -> str:
    """Return a value as people see it."""
    if value is None:
        return ""
    if secret or isinstance(value, Secret):
        return MASK
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_none(kind: Any) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        (kind,) = (item for item in typing.get_args(kind) if item is not types.NoneType)
    return kind


def _refuse(value: Any, problem: str, *, where: str, name: str, secret: bool) -> NoReturn:
    given = MASK if secret else repr(value)
    msg = f"{where}: {name} {problem}, not {given}"
    raise ConfigurationError(msg, hint="spawnery spawners show <name> lists all settings")


def _convert(value: Any, kind: Any, *, where: str, name: str, secret: bool) -> Any:
    converter: Callable[[Any], Any]
    if typing.get_origin(kind) is tuple:
        converter, allowed = _words, "must be a list of words (commas between them)"
    else:
        converter, allowed = _SCALARS[kind]
    try:
        return converter(value)
    except (ValueError, TypeError):
        _refuse(value, allowed, where=where, name=name, secret=secret)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
        raise ValueError
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _yes_or_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = _text(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError


def _path(value: Any) -> Path:
    if not _text(value):
        raise ValueError
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # ~name of a user that is not there
        raise ValueError(str(error)) from None


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(item) for item in value)
    return tuple(word for part in _text(value).split(",") if (word := part.strip()))


_SCALARS: Final[dict[Any, tuple[Callable[[Any], Any], str]]] = {
    str: (_text, "must be text"),
    int: (_whole, "must be a whole number"),
    float: (_number, "must be a number"),
    bool: (_yes_or_no, "must be true or false"),
    Path: (_path, "must be a path"),
    Secret: (lambda value: Secret(_text(value)), "must be text"),
}
