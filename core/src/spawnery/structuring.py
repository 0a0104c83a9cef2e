"""From JSON values to attrs classes with cattrs, strictly and with errors that name the field.

cattrs alone would turn a number into text and text into a list of letters without a word.
"""

from __future__ import annotations

import difflib
import enum
import functools
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import attrs
from cattrs import AttributeValidationNote, BaseValidationError, Converter, IterableValidationNote
from cattrs.errors import ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override
from cattrs.strategies import configure_union_passthrough

from spawnery import durations
from spawnery.checks import shown
from spawnery.errors import InvalidSpec
from spawnery.models import JobSpec, Resources
from spawnery.secret import SecretRef, SecretSource

T = TypeVar("T")

_FORMS: Final = (
    "{environment: NAME}, {file: PATH}, {engine: {name: NAME, key: KEY}} or {literal: TEXT}"
)
QUOTE: Final = "quote it"
"""Beginning of the hint where text was meant and something else was read."""


class _Wrong(ValueError):
    """A value is not what its field takes; the field is told by where it was raised."""

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        super().__init__(problem)
        self.hint = hint


def structure(data: Any, kind: type[T], *, field: str) -> T:
    """Make an object of an attrs class.

    Args:
        data: A mapping of JSON values.
        kind: The class.
        field: The name of the whole, the beginning of every field's name; may be empty.

    Raises:
        InvalidSpec: Names the first field that is unknown or not allowed.
    """
    try:
        return _converter().structure(data, kind)
    except BaseValidationError as error:
        path, leaf = min(_leaves(error, ()), key=lambda found: _rank(found[1]))
    except Exception as error:  # noqa: BLE001 - whatever the validators of a plugin raise
        path, leaf = (), error
    raise _refusal(_dotted(field, path), leaf) from None


def _rank(error: BaseException) -> int:
    """Order by what helps most: an unknown name is often why something else is missing."""
    return 0 if isinstance(error, ForbiddenExtraKeysError) else 1


def _leaves(
    error: BaseException, path: tuple[str | int, ...]
) -> list[tuple[tuple[str | int, ...], BaseException]]:
    """List what went wrong and where, from what cattrs notes at each level."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            path = (*path, note.name)
        elif isinstance(note, IterableValidationNote):
            path = (*path, note.index)
    if isinstance(error, BaseValidationError):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner, path)]
    return [(path, error)]


def _dotted(field: str, path: tuple[str | int, ...]) -> str:
    for part in path:
        field += f"[{part}]" if isinstance(part, int) else f".{part}"
    return field.removeprefix(".")


def _refusal(field: str, error: BaseException) -> InvalidSpec:
    if isinstance(error, InvalidSpec):
        return _placed(field, error)
    if isinstance(error, ForbiddenExtraKeysError):
        return _unknown(field, error)
    if isinstance(error, KeyError):
        missing = f"{field}.{error.args[0]}" if not field.endswith(str(error.args[0])) else field
        return InvalidSpec(f"{missing}: is missing", field=missing)
    problem, hint = str(error.args[0]) if error.args else type(error).__name__, None
    if isinstance(error, _Wrong):
        hint = error.hint
    elif len(error.args) > 1 and isinstance(error.args[1], attrs.Attribute):
        # attrs' own validators hand over the attribute that they refuse.
        field = _dotted(field, (error.args[1].name,))
    name = field or "the job"
    return InvalidSpec(f"{name}: {problem}", field=field or None, hint=hint)


def _placed(field: str, error: InvalidSpec) -> InvalidSpec:
    """Give an error of a validator the whole name of its field."""
    own = error.field or ""
    if not field or own == field or own.startswith((f"{field}.", f"{field}[")):
        return error
    if field.endswith(f".{own}") or not own:
        whole = field
    elif field.partition(".")[0] == own.partition(".")[0]:
        return error
    else:
        whole = f"{field}.{own}"
    text = error.message
    text = whole + text.removeprefix(own) if own and text.startswith(own) else f"{whole}: {text}"
    return InvalidSpec(text, field=whole, hint=error.hint)


def _unknown(field: str, error: ForbiddenExtraKeysError) -> InvalidSpec:
    name = min(map(str, error.extra_fields))
    known = [a.name for a in attrs.fields(error.cl)]
    whole = _dotted(field, (name,))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    return InvalidSpec(f"{whole}: there is no such field", field=whole, hint=hint)


def _wrong(value: object, allowed: str, *, hint: str | None = None) -> NoReturn:
    msg = f"must be {allowed}, not {shown(value)}"
    raise _Wrong(msg, hint=hint)


@functools.cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    configure_union_passthrough(str | int | float | bool | None, converter)
    converter.register_structure_hook_factory(_is(Mapping), _mapping_factory)
    converter.register_structure_hook_factory(_is(list, tuple, Sequence), _list_factory)
    converter.register_structure_hook_func(lambda kind: kind is Any, _json_value)
    for kind, hook in (
        (str, _text),
        (int, _whole),
        (float, _number),
        (bool, _yes_or_no),
        (enum.Enum, _member),
        (enum.StrEnum, _member),
        (SecretRef, _secret_ref),
    ):
        converter.register_structure_hook(kind, hook)
    quantities = {
        a.name: override(struct_hook=_quantity) for a in attrs.fields(Resources) if a.name != "gpus"
    }
    _without_nulls(converter, Resources, quantities)
    seconds = {
        a.name: override(struct_hook=_duration)
        for a in attrs.fields(JobSpec)
        if a.name.endswith("_seconds")
    }
    _without_nulls(converter, JobSpec, seconds)
    return converter


def _without_nulls(converter: Converter, kind: type[Any], overrides: dict[str, Any]) -> None:
    """Structure a class of ours, for which null means unset."""
    make = make_dict_structure_fn(kind, converter, **overrides)

    def hook(value: Any, asked: Any) -> Any:
        _check_mapping(value)
        return make({name: item for name, item in value.items() if item is not None}, asked)

    converter.register_structure_hook(kind, hook)


def _is(*kinds: type[Any]) -> Callable[[Any], bool]:
    def check(kind: Any) -> bool:
        origin = typing.get_origin(kind) or kind
        if not isinstance(origin, type) or issubclass(origin, str | bytes):
            return False
        return issubclass(origin, kinds)

    return check


def _mapping_factory(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    _, item_kind = typing.get_args(kind) or (str, Any)

    def hook(value: Any, _: Any) -> dict[str, Any]:
        _check_mapping(value)
        return {name: _inside(converter, name, item, item_kind) for name, item in value.items()}

    return hook


def _check_mapping(value: Any) -> None:
    if not isinstance(value, Mapping):
        _wrong(value, "a mapping of names to values")
    for name in value:
        if not isinstance(name, str):
            msg = f"has the name {shown(name)}, and names must be text"
            raise _Wrong(msg, hint='quote the name, as in "no": ...')


def _list_factory(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    origin: Any = typing.get_origin(kind) or kind
    item_kind, *_ = typing.get_args(kind) or (Any,)
    make: Any = list if issubclass(origin, list) else tuple

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            _wrong(value, 'a list, as ["sh", "-c", "echo hi"]')
        return make(_inside(converter, index, item, item_kind) for index, item in enumerate(value))

    return hook


def _inside(converter: Converter, index: str | int, value: Any, kind: Any) -> Any:
    """Structure a part, noting where it stands as cattrs does."""
    try:
        return converter.structure(value, kind)
    except Exception as error:  # noqa: BLE001 - whatever the classes of a plugin raise
        error.add_note(IterableValidationNote(f"at {index}", index, kind))
        msg = f"at {index}"
        raise IterableValidationError(msg, [error], kind) from None


def _json_value(value: Any, _: Any = None) -> Any:
    """Let through what JSON can carry, at any depth."""
    if isinstance(value, Mapping):
        return _mapping_factory(Mapping[str, Any], _converter())(value, None)
    if isinstance(value, list | tuple):
        return _list_factory(list[Any], _converter())(value, None)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    _wrong(value, "text, a number, true, false, a list or a mapping")


def _text(value: Any, kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(value, kind)
    if not isinstance(value, str):
        is_part = isinstance(value, Mapping | list | tuple)
        _wrong(value, "text", hint=None if is_part else QUOTE)
    return value


def _whole(value: Any, kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(value, kind)
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong(value, "a whole number")
    return value


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _wrong(value, "a number")
    return value


def _yes_or_no(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        _wrong(value, "true or false")
    return value


def _member(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        _wrong(value, "one of " + ", ".join(str(member.value) for member in kind))


def _quantity(value: Any, _: Any) -> Any:
    """Take a bare number as a quantity, for which YAML and TOML need no quotes."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _duration(value: Any, _: Any) -> Any:
    if not isinstance(value, str):
        return value
    seconds = durations.seconds_of(value)
    return _wrong(value, durations.FORMS) if seconds is None else seconds


def _secret_ref(value: Any, _: Any) -> SecretRef:
    """Make a reference; what was given may be the secret itself and is never shown."""
    if not isinstance(value, Mapping):
        msg = f"must be one of {_FORMS}, not a {type(value).__name__}"
        raise _Wrong(msg)
    sources = [name for name in value if name != "optional"]
    if len(sources) != 1 or sources[0] not in set(SecretSource):
        names = ", ".join(sorted(str(name) for name in sources)) or "none"
        msg = f"must have exactly one of environment, file, engine, literal; it has {names}"
        raise _Wrong(msg, hint=f"write {_FORMS}")
    source, place = SecretSource(sources[0]), value[sources[0]]
    if source is SecretSource.LITERAL:
        return _literal(place, value)
    optional = value.get("optional", False)
    if not isinstance(optional, bool):
        _wrong(optional, "optional: true or optional: false")
    if source is SecretSource.ENGINE:
        return SecretRef.engine(*_engine_place(place), optional=optional)
    name = _place(place, source)
    return SecretRef(source=source, name=name, optional=optional)


def _literal(place: Any, value: Mapping[str, Any]) -> SecretRef:
    if "optional" in value:
        msg = "is a literal, which cannot be optional"
        raise _Wrong(msg, hint="leave optional out")
    if place is None:
        hint = "give its value, or name where it is: {environment: NAME} or {file: PATH}"
        msg = "is a literal whose value was left out when it was written"
        raise _Wrong(msg, hint=hint)
    if not isinstance(place, str):
        msg = f"must be a literal text, not a {type(place).__name__}"
        raise _Wrong(msg, hint=QUOTE)
    return SecretRef.literal(place)


def _engine_place(place: Any) -> tuple[str, str]:
    if not isinstance(place, Mapping) or set(place) != {"name", "key"}:
        msg = "must have name and key"
        raise _Wrong(msg, hint="write {engine: {name: NAME, key: KEY}}")
    return _place(place["name"], "engine.name"), _place(place["key"], "engine.key")


def _place(place: Any, what: str) -> str:
    if not isinstance(place, str) or not place or "\0" in place:
        msg = f"its {what} must be text that is not empty"
        raise _Wrong(msg)
    return place
