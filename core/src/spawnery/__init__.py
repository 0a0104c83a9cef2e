"""Spawnery: run a short-lived job as a container, a Kubernetes Job or a local process.

The public names are loaded when they are first used, so ``import spawnery`` costs next to nothing.
"""

from __future__ import annotations

import sys

from spawnery._lazy import exports

TYPE_CHECKING = False  # importing typing would be most of what this import costs
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from spawnery.aio import AsyncSpawner as AsyncSpawner
    from spawnery.contract.declaration import SpawnerPlugin as SpawnerPlugin
    from spawnery.contract.declaration import SpawnerRuntime as SpawnerRuntime
    from spawnery.contract.hookspecs import hookimpl as hookimpl
    from spawnery.contract.hookspecs import hookspec as hookspec
    from spawnery.contract.log_text import LogStream as LogStream
    from spawnery.contract.log_text import LogText as LogText
    from spawnery.contract.requests import CheckItem as CheckItem
    from spawnery.contract.requests import Deadline as Deadline
    from spawnery.contract.requests import HookContext as HookContext
    from spawnery.contract.requests import LogsRequest as LogsRequest
    from spawnery.contract.requests import Plan as Plan
    from spawnery.contract.requests import PlanRequest as PlanRequest
    from spawnery.contract.requests import RemoveRequest as RemoveRequest
    from spawnery.contract.requests import SpawnRequest as SpawnRequest
    from spawnery.contract.requests import StopRequest as StopRequest
    from spawnery.contract.requests import WatchRequest as WatchRequest
    from spawnery.contract.streams import JobStream as JobStream
    from spawnery.contract.streams import ThreadedStream as ThreadedStream
    from spawnery.errors import SpawnerError as SpawnerError
    from spawnery.model.job import JobSpec as JobSpec
    from spawnery.model.job import Network as Network
    from spawnery.model.job import PullPolicy as PullPolicy
    from spawnery.model.job import Resources as Resources
    from spawnery.model.job import Security as Security
    from spawnery.model.names import job_id_from as job_id_from
    from spawnery.model.outcome import EventKind as EventKind
    from spawnery.model.outcome import JobEvent as JobEvent
    from spawnery.model.outcome import JobGone as JobGone
    from spawnery.model.outcome import JobHandle as JobHandle
    from spawnery.model.outcome import JobSeen as JobSeen
    from spawnery.model.outcome import JobState as JobState
    from spawnery.model.outcome import JobStatus as JobStatus
    from spawnery.model.outcome import LogChunk as LogChunk
    from spawnery.model.outcome import Outcome as Outcome
    from spawnery.model.outcome import Synced as Synced
    from spawnery.model.secret import Secret as Secret
    from spawnery.model.secret import SecretRef as SecretRef
    from spawnery.spawner import Spawner as Spawner

__version__ = "0.2.0"

if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = exports(
        __name__,
        {
            ".aio": ("AsyncSpawner",),
            ".contract.requests": (
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
            ".errors": ("SpawnerError",),
            ".contract.hookspecs": ("hookimpl", "hookspec"),
            ".contract.log_text": ("LogStream", "LogText"),
            ".model.job": ("JobSpec", "Network", "PullPolicy", "Resources", "Security"),
            ".model.names": ("job_id_from",),
            ".model.outcome": (
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
            ".contract.declaration": ("SpawnerPlugin", "SpawnerRuntime"),
            ".model.secret": ("Secret", "SecretRef"),
            ".spawner": ("Spawner",),
            ".contract.streams": ("JobStream", "ThreadedStream"),
        },
    )
    __all__ += ["__version__"]


class _OldPaths:
    """Asks ``spawnery._compat`` for modules that are not found: it knows where they moved."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return the spec of a module under its old path; None for all others."""
        if not name.startswith("spawnery."):
            return None
        from spawnery import _compat  # noqa: PLC0415 - only for old paths

        return _compat.find_spec(name)


sys.meta_path.append(_OldPaths)
