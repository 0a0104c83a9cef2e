"""Spawnery: run a short-lived job as a container, a Kubernetes Job or a local process.

The public names are loaded when they are first used, so ``import spawnery`` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would be most of what this import costs
if TYPE_CHECKING:
    from spawnery.aio import AsyncSpawner as AsyncSpawner
    from spawnery.contract import CheckItem as CheckItem
    from spawnery.contract import Deadline as Deadline
    from spawnery.contract import HookContext as HookContext
    from spawnery.contract import LogsRequest as LogsRequest
    from spawnery.contract import Plan as Plan
    from spawnery.contract import PlanRequest as PlanRequest
    from spawnery.contract import RemoveRequest as RemoveRequest
    from spawnery.contract import SpawnRequest as SpawnRequest
    from spawnery.contract import StopRequest as StopRequest
    from spawnery.contract import WatchRequest as WatchRequest
    from spawnery.errors import SpawnerError as SpawnerError
    from spawnery.hookspecs import hookimpl as hookimpl
    from spawnery.hookspecs import hookspec as hookspec
    from spawnery.logtext import LogStream as LogStream
    from spawnery.logtext import LogText as LogText
    from spawnery.models import JobSpec as JobSpec
    from spawnery.models import Network as Network
    from spawnery.models import PullPolicy as PullPolicy
    from spawnery.models import Resources as Resources
    from spawnery.models import Security as Security
    from spawnery.naming import job_id_from as job_id_from
    from spawnery.outcomes import EventKind as EventKind
    from spawnery.outcomes import JobEvent as JobEvent
    from spawnery.outcomes import JobGone as JobGone
    from spawnery.outcomes import JobHandle as JobHandle
    from spawnery.outcomes import JobSeen as JobSeen
    from spawnery.outcomes import JobState as JobState
    from spawnery.outcomes import JobStatus as JobStatus
    from spawnery.outcomes import LogChunk as LogChunk
    from spawnery.outcomes import Outcome as Outcome
    from spawnery.outcomes import Synced as Synced
    from spawnery.plugin import SpawnerPlugin as SpawnerPlugin
    from spawnery.plugin import SpawnerRuntime as SpawnerRuntime
    from spawnery.secret import Secret as Secret
    from spawnery.secret import SecretRef as SecretRef
    from spawnery.spawner import Spawner as Spawner
    from spawnery.streams import JobStream as JobStream
    from spawnery.streams import ThreadedStream as ThreadedStream

__version__ = "0.2.0"

_HOMES = {
    "aio": ("AsyncSpawner",),
    "contract": (
        "CheckItem",
        "Deadline",
        "HookContext",
        "LogsRequest",
        "Plan",
        "PlanRequest",
        "RemoveRequest",
        "SpawnRequest",
        "StopRequest",
        "WatchRequest",
    ),
    "errors": ("SpawnerError",),
    "hookspecs": ("hookimpl", "hookspec"),
    "logtext": ("LogStream", "LogText"),
    "models": ("JobSpec", "Network", "PullPolicy", "Resources", "Security"),
    "naming": ("job_id_from",),
    "outcomes": (
        "EventKind",
        "JobEvent",
        "JobGone",
        "JobHandle",
        "JobSeen",
        "JobState",
        "JobStatus",
        "LogChunk",
        "Outcome",
        "Synced",
    ),
    "plugin": ("SpawnerPlugin", "SpawnerRuntime"),
    "secret": ("Secret", "SecretRef"),
    "spawner": ("Spawner",),
    "streams": ("JobStream", "ThreadedStream"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604 - a star of strings


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - the point of being lazy

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
