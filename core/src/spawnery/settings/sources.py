"""Where settings are given: flags, environment, ``spawnery.toml``; unknown names are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from spawnery.errors import ConfigurationError
from spawnery.model.names import RESERVED_ENV_PREFIX

FIRST_PARTY: Final = ("docker", "kubernetes", "local", "fake", "dispatcher", "test")
"""Whose variables core leaves alone when another spawner is selected."""
OWN_NAMES: Final = ("SPAWNER_TYPE", "SPAWNER_PLUGINS")
"""Core's variables outside its prefix: a misspelt one would quietly choose or guard nothing."""
CONFIG_VARIABLE: Final = "SPAWNERY_CONFIG"
FILE_NAME: Final = "spawnery.toml"

_KUBERNETES_INJECTED = re.compile(
    r"SPAWNERY_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)"
    r"(?:_PROTO|_PORT|_ADDR)?)\Z"
)
"""What Kubernetes sets for a Service whose name begins with ``spawnery``
(kubernetes.io/docs/concepts/services-networking/service/#environment-variables)."""


@frozen(kw_only=True)
class Slot:
    """A setting that may be given: its dotted name, its variable, its type and its rules."""

    name: str
    env: str
    kind: Any
    default: Any
    description: str
    secret: bool
    check: Callable[[Any], str | None] | None


@frozen(kw_only=True)
class Given:
    """A value that somebody gave a setting."""

    value: Any = field(repr=False)
    source: str


def from_environment(environ: Mapping[str, str], slots: Mapping[str, Slot]) -> dict[str, Given]:
    """Read the environment; an empty variable counts as not set."""
    return {
        name: Given(value=environ[slot.env], source=f"environment {slot.env}")
        for name, slot in slots.items()
        if environ.get(slot.env)
    }


def unknown_names(
    environ: Mapping[str, str], slots: Mapping[str, Slot], *, table: str, installed: Collection[str]
) -> None:
    """Refuse variables under our prefix that mean nothing, with the near miss.

    Variables of spawners that are not selected are left alone, and so are what Kubernetes injects
    for a Service of that name and what a spawner sets in its jobs.

    Raises:
        ConfigurationError: Names the variable.
    """
    known = {slot.env for slot in slots.values()} | {CONFIG_VARIABLE}
    others = {_prefix(name) for name in (*FIRST_PARTY, *installed) if name != table}
    for name in sorted(environ):
        if name in known or not (name.startswith("SPAWNERY_") or _is_misspelt(name)):
            continue
        if name.startswith(RESERVED_ENV_PREFIX):  # We are in a job ourselves.
            continue
        own = bool(table) and name.startswith(_prefix(table))
        if not own and name.startswith(tuple(others)):
            continue
        if _is_injected(name, environ[name]):
            continue
        msg = f"environment {name}: there is no such setting"
        near = _renamed(name, slots) or _near_miss(name, known, cutoff=0.75)
        raise ConfigurationError(msg, hint=near or f"unset {name}")


def _is_misspelt(name: str) -> bool:
    """Tell whether a name outside our prefix was surely meant for us: ``SPAWNER_PLUGIN``."""
    return name.startswith("SPAWNER_") and _near_miss(name, OWN_NAMES, cutoff=0.9) is not None


def _prefix(name: str) -> str:
    return f"SPAWNERY_{name.upper().replace('-', '_')}_"


def _is_injected(name: str, value: str) -> bool:
    if _KUBERNETES_INJECTED.match(name):
        return True
    return name.endswith("_PORT") and re.match(r"(tcp|udp|sctp)://", value) is not None


def _renamed(name: str, slots: Mapping[str, Slot]) -> str | None:
    """Find the setting that would have this variable, had it not one of another name."""
    for slot in slots.values():
        table, _, field_name = slot.name.rpartition(".")
        usual = (_prefix(table) if table else "SPAWNERY_") + field_name.upper()
        if name == usual:
            return f"did you mean {slot.env}?"
    return None


def _near_miss(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    import difflib  # noqa: PLC0415 - only for an error

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else None


def from_flags(
    flags: Mapping[str, str], slots: Mapping[str, Slot], *, table: str, installed: Collection[str]
) -> dict[str, Given]:
    """Read flags by dotted name.

    Raises:
        ConfigurationError: A name is unknown.
    """
    found = {}
    for name, value in flags.items():
        if name in slots:
            found[name] = Given(value=value, source=f"flag {name}")
        elif not _of_another(name.partition(".")[0], table, installed):
            msg = f"flag {name}: there is no such setting"
            raise ConfigurationError(msg, hint=_near_miss(name, slots))
    return found


def _of_another(name: str, table: str, installed: Collection[str]) -> bool:
    return name != table and name in {*FIRST_PARTY, *installed}


def config_path(
    environ: Mapping[str, str], config_file: str | os.PathLike[str] | None
) -> Path | None:
    """Return the settings file to read: named, here, or the user's; None when there is none.

    Raises:
        ConfigurationError: A named file does not exist.
    """
    named = config_file or environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            msg = f"the settings file {path} does not exist"
            raise ConfigurationError(msg)
        return path
    for folder in (Path(), _user_folder(environ)):
        path = folder / FILE_NAME
        if _is_there(path):
            return path
    return None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # Not even to be looked at, so not meant for us.
        return False


def _user_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's folder for settings: the XDG one, on every system.

    platformdirs reads only the real environment, and this is on the way of every cold start.
    """
    base = environ.get("XDG_CONFIG_HOME")
    if base:
        return Path(base) / "spawnery"
    home = environ.get("HOME")
    return Path(home) / ".config" / "spawnery" if home else Path("/nonexistent")


def from_file(
    environ: Mapping[str, str],
    config_file: str | os.PathLike[str] | None,
    slots: Mapping[str, Slot],
    *,
    table: str,
    installed: Collection[str],
) -> dict[str, Given]:
    """Read the settings file.

    Raises:
        ConfigurationError: It cannot be read, or a key is unknown; names file and line.
    """
    path = config_path(environ, config_file)
    if path is None:
        return {}
    text, content = _parse(path)
    found = {}
    for name, value in _flat(content, {table, *FIRST_PARTY, *installed}):
        source = f"{path} line {_line(text, name)}"
        if name in slots:
            found[name] = Given(value=value, source=source)
        elif not _of_another(name.partition(".")[0], table, installed):
            msg = f"{source}: there is no setting {name}"
            near = _near_miss(name, [*slots, *FIRST_PARTY, *installed])
            raise ConfigurationError(msg, hint=near)
    return found


def _parse(path: Path) -> tuple[str, dict[str, Any]]:
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        msg = f"the settings file {path} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        msg = f"the settings file {path} is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: {error}"
    raise ConfigurationError(msg)


def _flat(content: Mapping[str, Any], tables: Collection[str]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        if isinstance(value, dict) and key in tables:
            pairs += [(f"{key}.{name}", item) for name, item in value.items()]
        else:
            pairs.append((key, value))
    return pairs


def _line(text: str, name: str) -> int:
    """Find the line of a key: tomllib keeps none."""
    table, _, key = name.rpartition(".")
    here = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        header = re.match(r"\[\s*([A-Za-z0-9_-]+)\s*\]", stripped)
        if header:
            here = header.group(1)
        if here == table and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*=", stripped):
            return number
        if not table and re.match(rf"\[\s*{re.escape(key)}\s*[\].]", stripped):
            return number
    return 1
