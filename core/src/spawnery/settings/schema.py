"""Settings: typed classes with a description and a default for each field, and how they are read.

Flags win over the environment, the environment over ``spawnery.toml``, the file over defaults.
Core's variables are ``SPAWNERY_<FIELD>``, the selected spawner's ``SPAWNERY_<TYPE>_<FIELD>``; a
field may have another name (``SPAWNER_TYPE``, ``DOCKER_NETWORK``).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from spawnery.contract.fields import SETTING_KEY, setting
from spawnery.errors import SpawnerInvalid
from spawnery.settings.sources import (
    Given,
    Slot,
    from_environment,
    from_file,
    from_flags,
    unknown_names,
)
from spawnery.settings.values import SUPPORTED, convert, shown, supported

if TYPE_CHECKING:
    from spawnery.contract.declaration import SpawnerPlugin


def _above_zero(value: float) -> str | None:
    return None if value > 0 else "must be more than 0"


def _not_negative(value: float) -> str | None:
    return None if value >= 0 else "must not be below 0"


@frozen(kw_only=True)
class CoreSettings:
    """Core's own settings."""

    spawner_type: str | None = setting(
        None, env="SPAWNER_TYPE", description="Which spawner runs jobs: docker, kubernetes, local."
    )
    plugins: tuple[str, ...] = setting(
        (), env="SPAWNER_PLUGINS", description="Extensions to load, in this order."
    )
    instance: str | None = setting(
        None, description="Name of this installation; it owns the jobs that it spawns."
    )
    state_dir: Path | None = setting(
        None, description="Folder for records and for the local engine's jobs."
    )
    name_prefix: str = setting(
        "agentsmith", description="Beginning of the names of containers, Jobs and folders."
    )
    forward_secrets: tuple[str, ...] = setting(
        (),
        description="Our own variables that each job gets as secrets; * and ? match. Empty ones and"
        " names that no job may set (JOB_ID, SPAWNERY_JOB_...), are left out.",
    )
    records_days: float = setting(
        7.0,
        check=_above_zero,
        description="Days for which an ended job is remembered, so that its id is not run again.",
    )
    stop_grace_seconds: float = setting(
        10.0, check=_not_negative, description="Seconds between SIGTERM and SIGKILL."
    )
    io_timeout_seconds: float = setting(
        30.0, check=_above_zero, description="Limit in seconds for one call to the engine."
    )
    hook_timeout_seconds: float = setting(
        10.0, check=_above_zero, description="Limit in seconds for one hook of an extension."
    )
    orphan_grace_seconds: float = setting(
        60.0,
        check=_not_negative,
        description="Seconds for which something unfinished is left to whoever made it.",
    )
    settle_seconds: float = setting(
        2.0,
        check=_not_negative,
        description="Seconds for which evidence may lag behind an object that vanished.",
    )
    relist_seconds: float = setting(
        60.0, check=_above_zero, description="Seconds between full lists of the engine's objects."
    )
    tail_bytes: int = setting(
        8192,
        check=_not_negative,
        description="Bytes of the end of the log that the outcome of a failed job carries.",
    )
    strict_plugins: bool = setting(
        False, description="Whether an extension that cannot be loaded is an error."
    )


@frozen(kw_only=True)
class Origin:
    """Where the value of a setting came from.

    Attributes:
        name: Dotted name: ``state_dir``, ``docker.network``.
        value: The value for people; a secret one masked.
        source: ``default``, ``environment SPAWNERY_STATE_DIR``, ``spawnery.toml line 3``, ...
        env: Its environment variable.
        description: One sentence.
    """

    name: str
    value: str
    source: str
    env: str
    description: str


@frozen(kw_only=True)
class Settings:
    """All settings of one facade.

    Attributes:
        core: Core's.
        plugin: The selected spawner's, an instance of its settings class; None without one.
        ignore: Capabilities whose lack the operator lets pass.
        origins: Dotted name to where the value came from.
    """

    core: CoreSettings
    plugin: Any
    ignore: frozenset[str]
    origins: Mapping[str, Origin] = field(repr=False)


def slots_of(kind: type[Any], *, table: str = "") -> dict[str, Slot]:
    """List the settings of a class by dotted name.

    Args:
        kind: A settings class.
        table: The spawner's name; empty for core.
    """
    prefix = env_prefix(table)
    dotted = f"{table}." if table else ""
    _resolve(kind)
    found = {}
    for item in attrs.fields(kind):
        extra = item.metadata.get(SETTING_KEY)
        if extra is None:
            msg = f"{kind.__name__}.{item.name} is not made with spawnery.settings.schema.setting"
            raise SpawnerInvalid(msg, hint=f"{item.name}: ... = setting(..., description=...)")
        if not supported(item.type):
            msg = f"{kind.__name__}.{item.name}: settings cannot be of the type {item.type}"
            raise SpawnerInvalid(msg, hint=f"use {SUPPORTED}")
        found[dotted + item.name] = Slot(
            name=dotted + item.name,
            env=extra["env"] or prefix + item.name.upper(),
            kind=item.type,
            default=item.default,
            description=extra["description"],
            secret=extra["secret"],
            check=extra["check"],
        )
    return found


def _resolve(kind: type[Any]) -> None:
    """Turn the annotations of a settings class into types."""
    try:
        attrs.resolve_types(kind)
    except Exception as error:
        msg = f"the types of {kind.__name__} cannot be found: {type(error).__name__}: {error}"
        hint = "import them at the top of its module, not under TYPE_CHECKING"
        raise SpawnerInvalid(msg, hint=hint) from error


def ignore_slot(table: str) -> Slot:
    """Return the setting that core provides for every spawner."""
    return Slot(
        name=f"{table}.ignore",
        env=f"{env_prefix(table)}IGNORE",
        kind=tuple[str, ...],
        default=(),
        description="Fields that jobs may set although the spawner lacks them; warned about.",
        secret=False,
        check=None,
    )


def env_prefix(table: str) -> str:
    """Return how the variables of core (empty) or of a spawner begin."""
    return f"SPAWNERY_{table.upper().replace('-', '_')}_" if table else "SPAWNERY_"


def load(
    environ: Mapping[str, str],
    *,
    config_file: str | os.PathLike[str] | None = None,
    flags: Mapping[str, str] | None = None,
    plugin: SpawnerPlugin | None = None,
    installed: Collection[str] = (),
) -> Settings:
    """Read all settings.

    Args:
        environ: Our own environment.
        config_file: The file to read instead of the one that would be found.
        flags: Settings by dotted name that win over all others.
        plugin: The selected spawner; without one, only core's settings are read.
        installed: Names of installed spawners: the variables of others are left alone.

    Raises:
        ConfigurationError: A name is unknown or a value is not allowed; the message names the
            variable, or the file and line.
    """
    table = plugin.name if plugin is not None else ""
    core = slots_of(CoreSettings)
    own = slots_of(plugin.settings, table=table) if plugin is not None else {}
    if plugin is not None:
        slot = ignore_slot(table)
        own[slot.name] = slot
    slots = {**core, **own}
    if plugin is None:
        # It need not be installed: then that is what is wrong, and not its variables.
        installed = [*installed, *_asked_for(environ, flags or {})]
    unknown_names(environ, slots, table=table, installed=installed)
    given: dict[str, Given] = {
        **from_file(environ, config_file, slots, table=table, installed=installed),
        **from_environment(environ, slots),
        **from_flags(flags or {}, slots, table=table, installed=installed),
    }
    values, origins = {}, {}
    for name, slot in slots.items():
        values[name] = _value(slot, given.get(name))
        source = given[name].source if name in given else "default"
        origins[name] = Origin(
            name=name,
            value=shown(values[name], secret=slot.secret),
            source=source,
            env=slot.env,
            description=slot.description,
        )
    return Settings(
        core=CoreSettings(**{name: values[name] for name in core}),
        plugin=_make(plugin, values, table) if plugin is not None else None,
        ignore=frozenset(values.get(f"{table}.ignore", ())),
        origins=origins,
    )


def _asked_for(environ: Mapping[str, str], flags: Mapping[str, str]) -> list[str]:
    asked = flags.get("spawner_type") or environ.get("SPAWNER_TYPE") or ""
    return [asked.strip().lower()] if asked.strip() else []


def _value(slot: Slot, given: Given | None) -> Any:
    if given is None:
        return slot.default.factory() if isinstance(slot.default, attrs.Factory) else slot.default  # type: ignore[arg-type]
    return convert(
        given.value,
        slot.kind,
        where=given.source,
        name=slot.name,
        secret=slot.secret,
        check=slot.check,
    )


def _make(plugin: SpawnerPlugin, values: Mapping[str, Any], table: str) -> Any:
    names = [item.name for item in attrs.fields(plugin.settings)]
    return plugin.settings(**{name: values[f"{table}.{name}"] for name in names})
