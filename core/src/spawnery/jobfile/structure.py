"""From JSON values to attrs classes with cattrs, strictly and with errors that name the field.

cattrs alone would turn a number into text and text into a list of letters without a word.
"""

from __future__ import annotations

import difflib
import enum
import functools
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from cattrs import AttributeValidationNote, BaseValidationError, Converter, IterableValidationNote
from cattrs.errors import ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override
from cattrs.strategies import configure_union_passthrough

from spawnery.errors import InvalidSpec
from spawnery.jobfile import structure_values as values
from spawnery.model.job import JobSpec, Resources
from spawnery.model.secret import SecretRef
from spawnery.model.validators import shown

T = TypeVar("T")

_ATTRS_OWN = re.compile(r"(?:Length of )?'(\w+)' (must .*)", re.DOTALL)
"""How the validators that attrs brings name the attribute that they refuse."""


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
    problem = str(error.args[0]) if error.args else type(error).__name__
    hint = error.hint if isinstance(error, values.Wrong) else None
    by_attrs = _ATTRS_OWN.fullmatch(problem)
    if by_attrs is not None:
        field, problem = _dotted(field, (by_attrs.group(1),)), by_attrs.group(2)
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


@functools.cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    configure_union_passthrough(str | int | float | bool | None, converter)
    converter.register_structure_hook_factory(_is(Mapping), _mapping_factory)
    converter.register_structure_hook_factory(_is(list, tuple, Sequence), _list_factory)
    converter.register_structure_hook_func(lambda kind: kind is Any, _json_value)
    for kind, hook in (
        (str, values.text),
        (int, values.whole_number),
        (float, values.number),
        (bool, values.yes_or_no),
        (enum.Enum, values.member),
        (enum.StrEnum, values.member),
        (SecretRef, values.secret_ref),
    ):
        converter.register_structure_hook(kind, hook)
    quantities = {
        a.name: override(struct_hook=values.quantity)
        for a in attrs.fields(Resources)
        if a.name != "gpus"
    }
    _without_nulls(converter, Resources, quantities)
    seconds = {
        a.name: override(struct_hook=values.duration)
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
        values.wrong(value, "a mapping of names to values")
    for name in value:
        if not isinstance(name, str):
            msg = f"has the name {shown(name)}, and names must be text"
            raise values.Wrong(msg, hint='quote the name, as in "no": ...')


def _list_factory(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    origin: Any = typing.get_origin(kind) or kind
    item_kind, *_ = typing.get_args(kind) or (Any,)
    make: Any = list if issubclass(origin, list) else tuple

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            values.wrong(value, 'a list, as ["sh", "-c", "echo hi"]')
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
    return values.wrong(value, "text, a number, true, false, a list or a mapping")
