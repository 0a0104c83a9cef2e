"""Reads ``dispatcher.toml`` and what the environment says over it.

Each key has a variable: ``DISPATCHER_`` and its path in capitals, as in
``DISPATCHER_LIMITS_PER_USER`` or ``DISPATCHER_PROJECTS_DEMO_IMAGE``; ``REDIS_URL`` stands for
``DISPATCHER_REDIS_URL``. A value is read as TOML where it can be, else as text.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from spawnery.errors import ConfigurationError, InvalidSpec
from spawnery.jobfile.formats import Document, Malformed, read_toml
from spawnery.jobfile.structure import structure

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.model.steps import CRASH_VARIABLE

PREFIX: Final = "DISPATCHER_"
CONFIG_VARIABLE: Final = "DISPATCHER_CONFIG"
DEFAULT_FILE: Final = "dispatcher.toml"
_STANDARD: Final = {"REDIS_URL": ("redis", "url"), "SPAWNERY_INSTANCE": ("instance",)}
_OTHERS: Final = frozenset({CONFIG_VARIABLE, CRASH_VARIABLE})
_MAX_BYTES: Final = 1024 * 1024
_SERVICE_LINK: Final = re.compile(r"_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP)\w*)?)\Z")


def load(environ: Mapping[str, str], *, path: str | None = None) -> Config:
    """Read the configuration.

    Args:
        environ: Our own environment.
        path: The file; where None, ``DISPATCHER_CONFIG``, else ``dispatcher.toml`` in the working
            directory where there is one.

    Raises:
        ConfigurationError: A key is unknown or its value not allowed; the message names the file,
            line and key, or the variable.
    """
    file = path or environ.get(CONFIG_VARIABLE) or _default()
    document = _read(Path(file)) if file is not None else None
    content: dict[str, Any] = dict(document.content) if document is not None else {}
    given = dict(_overrides(environ, content))
    for keys, (_, value) in given.items():
        _put(content, keys, value)
    content.setdefault("instance", "dispatcher")
    try:
        return structure(content, Config, field="")
    except InvalidSpec as error:
        raise _located(error, file, document, given) from None


def _default() -> str | None:
    return DEFAULT_FILE if Path(DEFAULT_FILE).exists() else None


def _read(file: Path) -> Document:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES)
        return read_toml(data.decode())
    except OSError as error:
        msg = f"the configuration {file} cannot be read: {error.strerror}"
        hint = f"name another one: --config PATH, or export {CONFIG_VARIABLE}=PATH"
        raise ConfigurationError(msg, hint=hint) from None
    except UnicodeDecodeError:
        msg = f"the configuration {file} is not UTF-8 text"
        raise ConfigurationError(msg) from None
    except Malformed as error:
        where = f"{file} line {error.line}" if error.line else str(file)
        msg = f"{where}: {error}"
        raise ConfigurationError(msg, hint=error.hint) from None


Keys = tuple[str, ...]


def _overrides(
    environ: Mapping[str, str], content: Mapping[str, Any]
) -> Iterator[tuple[Keys, tuple[str, Any]]]:
    """Yield (path of the key, (variable, value)) for each variable that sets one."""
    slots = dict(_slots(Config, (), content))
    for name, keys in _STANDARD.items():
        if environ.get(name):
            yield keys, (name, environ[name])
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in _OTHERS or _SERVICE_LINK.search(name):
            continue
        if name not in slots:
            near = difflib.get_close_matches(name, slots, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/dispatcher.md"
            msg = f"{name}: there is no such setting"
            raise ConfigurationError(msg, hint=hint)
        yield slots[name], (name, _value(text))


def _slots(kind: type[Any], keys: Keys, content: Any) -> Iterator[tuple[str, Keys]]:
    """List the variables of a class: of a mapping, those of the names that the file has."""
    for attribute in attrs.fields(attrs.resolve_types(kind)):
        path = (*keys, attribute.name)
        inner = content.get(attribute.name) if isinstance(content, Mapping) else None
        parts = [part for part in _parts(attribute.type) if attrs.has(part)]
        if parts and _is_map(attribute.type):
            for name, item in inner.items() if isinstance(inner, Mapping) else ():
                yield from _slots(parts[0], (*path, name), item)
        elif parts:
            yield from _slots(parts[0], path, inner)
        else:
            yield PREFIX + "_".join(path).upper().replace("-", "_"), path


def _parts(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) or (kind,)


def _is_map(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(content: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        inner = content.get(key)
        content[key] = dict(inner) if isinstance(inner, Mapping) else {}
        content = content[key]
    content[keys[-1]] = value


def _located(
    error: InvalidSpec,
    file: str | None,
    document: Document | None,
    given: Mapping[Keys, tuple[str, Any]],
) -> ConfigurationError:
    """Say where the value stands that is refused."""
    path = error.field or ""
    for keys, (variable, _) in given.items():
        if path == ".".join(keys) or path.startswith(".".join(keys) + "["):
            return ConfigurationError(f"{variable}: {error.message}", hint=error.hint)
    spot = document.spot(path) if document is not None else None
    where = f"{file} line {spot.line}: " if spot is not None else f"{file}: " if file else ""
    return ConfigurationError(f"{where}{error.message}", hint=error.hint)
