"""What an entry point of ``spawnery.spawners`` names: a light declaration, no SDK behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from spawnery.contract.engine_clock import EngineClock
from spawnery.contract.streams import start_daemon
from spawnery.model.names import object_name

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from spawnery.model.outcome import JobEvent

API_VERSION: Final = 1
"""Version of the plugin contract; a spawner states the one that it was written for."""

LABEL_PREFIX: Final = "spawnery.dev/"
LABEL_INSTANCE: Final = "spawnery.dev/instance"
LABEL_JOB_ID: Final = "spawnery.dev/job-id"
LABEL_SPEC_HASH: Final = "spawnery.dev/spec-hash"
"""``v1.`` and 48 hex digits: the schema of the hash and the hash, as a label value holds them."""
LABEL_RECORD_ID: Final = "spawnery.dev/record-id"
"""Random id of the job's record: tells this object from others that bear the same job id."""
LABEL_DEADLINE: Final = "spawnery.dev/deadline-seconds"
LABEL_START_DEADLINE: Final = "spawnery.dev/start-deadline-seconds"
LABEL_RETENTION: Final = "spawnery.dev/retention-seconds"


def _keep_capability(_capability: str, _why: str) -> None:
    """Stand in for ``lacks`` where a runtime is made by hand."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class Clock:
    """The two clocks: wall time for what people read, monotonic time for limits."""

    now: Callable[[], datetime] = _wall_clock
    monotonic: Callable[[], float] = time.monotonic


@frozen(kw_only=True)
class SpawnerRuntime:
    """What a spawner may use of its host, and all that it sees of it.

    Attributes:
        instance: Name of the installation: a valid label value, and the owner of our objects.
        name_prefix: Beginning of the name of each object.
        state_dir: Folder for what must outlive the process; may not exist yet.
        io_timeout_seconds: Limit for one call to the engine where a request carries none.
        environ: Our own environment.
        clock: Time.
        logger: A standard logger, ``spawnery.<name>``.
        emit: Tells observers, and through the records other processes, what a spawn is doing
            (an event of the kind ``progress``: image pull and the like).
        start_thread: Starts a thread that does not keep the interpreter alive.
        engine_clock: Where the spawner reports each time that it reads off the engine's clock
            (capability ``clock``); ``engine_clock.now()`` is the engine's present.
        lacks: Takes away a declared capability that this engine turns out not to have, with the
            reason: ``lacks("field.resources.gpus", "Podman has no device requests")``. What is
            asked for afterwards is refused as if it had never been declared.
    """

    instance: str
    name_prefix: str
    state_dir: Path
    io_timeout_seconds: float
    environ: Mapping[str, str] = field(repr=False)
    clock: Clock = field(factory=Clock)
    logger: logging.Logger
    emit: Callable[[JobEvent], None]
    start_thread: Callable[[str, Callable[[], None]], object] = start_daemon
    engine_clock: EngineClock = field(factory=EngineClock)
    lacks: Callable[[str, str], None] = field(default=_keep_capability, repr=False)

    def object_name(self, job_id: str) -> str:
        """Return the name that the object of a job has."""
        return object_name(self.name_prefix, job_id)


@frozen(kw_only=True)
class SpawnerPlugin:
    """The declaration of a spawner; core reads it without importing an SDK.

    Attributes:
        name: Value of ``SPAWNER_TYPE``: lower-case letters, digits and hyphens.
        api: The version of the plugin contract that it was written for (``API_VERSION``).
        capabilities: What it can do; see docs/capabilities.md. What is not declared is refused
            when a spec asks for it.
        settings: attrs class whose fields are made with
            ``spawnery.settings.schema.setting``; read from ``SPAWNERY_<NAME>_*`` and from the
            table ``[<name>]`` of spawnery.toml.
        options: attrs class of ``JobSpec.options[name]``, or None when there are none.
        create: Called with an instance of ``settings`` and the runtime; returns the object whose
            methods implement the hooks, with a ``close()``. SDKs are imported here or later.
        summary: One line for ``spawnery spawners``.
    """

    name: str
    api: int
    capabilities: frozenset[str]
    settings: type[Any]
    options: type[Any] | None = None
    create: Callable[[Any, SpawnerRuntime], Any]
    summary: str = ""
