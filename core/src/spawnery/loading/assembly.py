"""Puts a spawner together: settings, plugin, extensions, records, instance."""

from __future__ import annotations

import errno
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spawnery.contract.declaration import Clock, SpawnerPlugin, SpawnerRuntime
from spawnery.contract.records import JobRecords
from spawnery.errors import SpawnerError, SpawnerInvalid, StateError
from spawnery.lifecycle.calls import Engine
from spawnery.lifecycle.ledger import Ledger
from spawnery.lifecycle.observers import Observers
from spawnery.lifecycle.preparation.capabilities import Granted
from spawnery.lifecycle.preparation.prepare import Hooks
from spawnery.model.names import check_prefix, label_value
from spawnery.model.secret import Masker
from spawnery.records.leases import new_holder
from spawnery.records.placement import Placement
from spawnery.records.steps import Steps
from spawnery.toolkit.workers import MOST_STOPS, Workers

if TYPE_CHECKING:
    from spawnery.model.outcome import JobEvent
    from spawnery.settings.schema import Settings

_INSTANCE_FILE: Final = "instance"
_RECORDS_FILE: Final = "records.sqlite3"
_PRIVATE: Final = 0o700


@frozen(kw_only=True)
class Parts:
    """All that a facade works with."""

    plugin: SpawnerPlugin
    settings: Settings
    environ: Mapping[str, str]
    instance: str
    runtime: SpawnerRuntime
    workers: Workers
    masker: Masker
    engine: Engine
    hooks: Hooks
    ledger: Ledger
    observers: Observers
    steps: Steps
    spawner: Any
    granted: Granted


class _Relay:
    """Lets the runtime's ``emit`` reach observers that are made after it."""

    def __init__(self, steps: Steps) -> None:
        self.observers: Observers | None = None
        self._steps = steps

    def __call__(self, event: JobEvent) -> None:
        self._steps.take(event)
        if self.observers is not None:
            self.observers.emit(event)


def open_parts(
    name: str | None,
    *,
    environ: Mapping[str, str],
    config_file: str | os.PathLike[str] | None,
    flags: Mapping[str, str],
    records: JobRecords | None,
    extensions: Sequence[object],
    plugin: SpawnerPlugin | None,
) -> Parts:
    """Find, load and assemble a spawner; see ``Spawner.open``."""
    from spawnery.loading import discovery  # noqa: PLC0415 - loads what only this needs
    from spawnery.loading import extensions as plugins  # noqa: PLC0415
    from spawnery.settings import schema as settings  # noqa: PLC0415

    found = discovery.installed()
    types = [item.name for item in found]
    if plugin is None:
        asked = [*types, name] if name is not None else types
        given = settings.load(environ, config_file=config_file, flags=flags, installed=asked)
        choice = discovery.choose(name, given, found=found)
        plugin = discovery.load_spawner(choice.name, origin=choice.origin).plugin
    loaded = settings.load(
        environ, config_file=config_file, flags=flags, plugin=plugin, installed=types
    )
    core = loaded.core
    named = [
        (extension.name, extension.obj)
        for extension in plugins.load_extensions(core.plugins, strict=core.strict_plugins)
        if extension.obj is not None
    ]
    lasting = [name for name, _ in named]
    named += [(f"extension-{number}", obj) for number, obj in enumerate(extensions, 1)]
    return assemble(
        plugin, loaded, environ=environ, records=records, extensions=named, lasting=lasting
    )


def state_folder(settings: Settings) -> Path:
    """Return the state directory, made where it is missing.

    Raises:
        StateError: ``state.denied`` when it belongs to another user or cannot be written.
    """
    folder = settings.core.state_dir
    if folder is None:
        import platformdirs  # noqa: PLC0415 - only where no folder is named

        folder = platformdirs.user_state_path("spawnery")
    hint = "name another folder: export SPAWNERY_STATE_DIR=..."
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
        facts = folder.stat()
    except (FileExistsError, NotADirectoryError):
        msg = f"the state directory {folder} is not a directory"
        raise StateError(msg, cause="state.denied", hint=hint) from None
    except OSError as error:
        msg = f"the state directory {folder} cannot be used: {error.strerror}"
        raise StateError(msg, cause=_state_cause(error), hint=hint) from None
    if facts.st_uid != os.geteuid():
        msg = f"the state directory {folder} belongs to user {facts.st_uid}, we are {os.geteuid()}"
        raise StateError(msg, cause="state.denied", hint=hint)
    return folder


def instance_name(settings: Settings, folder: Path) -> str:
    """Return the name of this installation: as set, or made once and kept in the state directory.

    Raises:
        StateError: The state directory cannot be written.
    """
    if settings.core.instance is not None:
        return label_value(settings.core.instance)
    path = folder / _INSTANCE_FILE
    try:
        if not path.exists():
            _write_once(path, _made_up())
        return label_value(path.read_text(encoding="utf-8").strip() or _made_up())
    except OSError as error:
        msg = f"the instance name in {path} cannot be kept: {error.strerror}"
        hint = "make the folder writable, or name the instance: export SPAWNERY_INSTANCE=..."
        raise StateError(msg, cause=_state_cause(error), hint=hint) from None


def _state_cause(error: OSError) -> str:
    return "state.full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "state.denied"


def _made_up() -> str:
    import getpass  # noqa: PLC0415 - once per installation

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.geteuid())
    host = os.uname().nodename.partition(".")[0]
    return label_value(f"{user[:20]}-{host[:20]}-{secrets.token_hex(4)}")


def _write_once(path: Path, text: str) -> None:
    """Write a file whole, unless somebody else was faster."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.write_text(text + "\n", encoding="utf-8")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def assemble(
    plugin: SpawnerPlugin,
    settings: Settings,
    *,
    environ: Mapping[str, str],
    records: JobRecords | None,
    extensions: Sequence[tuple[str, Any]],
    lasting: Sequence[str] = (),
) -> Parts:
    """Create the spawner and everything around it.

    Args:
        plugin: The declaration.
        settings: Core's and the spawner's.
        environ: Our own environment.
        records: Where to keep records; SQLite in the state directory when None.
        extensions: (name, object), in the order of ``SPAWNER_PLUGINS``.
        lasting: Those of them that the settings name; as observers they learn of every end.

    Raises:
        StateError, SpawnerInvalid, EngineError.
    """
    folder = state_folder(settings)
    instance = instance_name(settings, folder)
    logger = logging.getLogger(f"spawnery.{plugin.name}")
    clock, masker, workers, holder = Clock(), Masker(), Workers(), new_holder()
    steps = Steps(holder=holder, clock=clock, masker=masker)
    relay = _Relay(steps)
    core, granted = settings.core, Granted(plugin.capabilities)
    runtime = SpawnerRuntime(
        instance=instance,
        name_prefix=check_prefix(core.name_prefix),
        state_dir=folder,
        io_timeout_seconds=core.io_timeout_seconds,
        environ=environ,
        clock=clock,
        logger=logger,
        emit=relay,
        lacks=granted.lacks,
    )
    runtime.engine_clock.measured = "clock" in plugin.capabilities
    spawner = create(plugin, settings.plugin, runtime)
    from spawnery.loading.registration import build_manager  # noqa: PLC0415 - imports pluggy

    manager = build_manager(spawner, extensions, plugin=plugin)
    if records is None:
        from spawnery.records.sqlite import SqliteRecords  # noqa: PLC0415 - imports sqlite3

        records = SqliteRecords(folder / _RECORDS_FILE, scope=f"{instance}/{plugin.name}")
    observers = Observers(
        manager,
        instance=instance,
        masker=masker,
        logger=logger,
        now=clock.now,
        announced=records.announced,
        lasting=(plugin.name, *lasting),
    )
    relay.observers = observers
    engine = Engine(
        manager,
        name=plugin.name,
        workers=workers,
        stops=Workers(MOST_STOPS, name="spawnery-stop"),
        io_timeout=core.io_timeout_seconds,
        masker=masker,
    )
    ledger = Ledger(
        placement=Placement(
            records, engine.place if "place" in plugin.capabilities else None, logger=logger
        ),
        holder=holder,
        observers=observers,
        masker=masker,
        clock=clock,
        engine_clock=runtime.engine_clock,
        keep=timedelta(days=core.records_days),
        prefix=core.name_prefix,
    )
    hooks = Hooks(manager, spawner=plugin.name, workers=workers, timeout=core.hook_timeout_seconds)
    return Parts(
        plugin=plugin,
        settings=settings,
        environ=environ,
        instance=instance,
        runtime=runtime,
        workers=workers,
        masker=masker,
        engine=engine,
        hooks=hooks,
        ledger=ledger,
        observers=observers,
        steps=steps,
        spawner=spawner,
        granted=granted,
    )


def create(plugin: SpawnerPlugin, settings: Any, runtime: SpawnerRuntime) -> Any:
    """Let a plugin make its spawner object; what it raises is said in our words."""
    try:
        return plugin.create(settings, runtime)
    except SpawnerError:
        raise
    except Exception as error:
        msg = f"the spawner {plugin.name} could not be created: {type(error).__name__}: {error}"
        hint = f"this is a bug of the spawner plugin {plugin.name}: report it to its authors"
        raise SpawnerInvalid(msg, hint=hint) from error
