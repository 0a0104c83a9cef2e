"""The plugin contract: hooks, their arguments, the declaration, streams, the engine's clock."""

from __future__ import annotations

from spawnery._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spawnery.contract.declaration import API_VERSION as API_VERSION
    from spawnery.contract.declaration import LABEL_DEADLINE as LABEL_DEADLINE
    from spawnery.contract.declaration import LABEL_INSTANCE as LABEL_INSTANCE
    from spawnery.contract.declaration import LABEL_JOB_ID as LABEL_JOB_ID
    from spawnery.contract.declaration import LABEL_PREFIX as LABEL_PREFIX
    from spawnery.contract.declaration import LABEL_RECORD_ID as LABEL_RECORD_ID
    from spawnery.contract.declaration import LABEL_RETENTION as LABEL_RETENTION
    from spawnery.contract.declaration import LABEL_SPEC_HASH as LABEL_SPEC_HASH
    from spawnery.contract.declaration import LABEL_START_DEADLINE as LABEL_START_DEADLINE
    from spawnery.contract.declaration import SpawnerPlugin as SpawnerPlugin
    from spawnery.contract.declaration import SpawnerRuntime as SpawnerRuntime
    from spawnery.contract.engine_clock import EngineClock as EngineClock
    from spawnery.contract.fields import setting as setting
    from spawnery.contract.hookspecs import hookimpl as hookimpl
    from spawnery.contract.hookspecs import hookspec as hookspec
    from spawnery.contract.log_text import LogStream as LogStream
    from spawnery.contract.log_text import LogText as LogText
    from spawnery.contract.log_text import TextDecoder as TextDecoder
    from spawnery.contract.log_text import gap_in_words as gap_in_words
    from spawnery.contract.records import Begun as Begun
    from spawnery.contract.records import JobRecords as JobRecords
    from spawnery.contract.records import Kill as Kill
    from spawnery.contract.records import KnownPlace as KnownPlace
    from spawnery.contract.records import Record as Record
    from spawnery.contract.records import Step as Step
    from spawnery.contract.requests import Cancellation as Cancellation
    from spawnery.contract.requests import CheckItem as CheckItem
    from spawnery.contract.requests import Deadline as Deadline
    from spawnery.contract.requests import HookContext as HookContext
    from spawnery.contract.requests import LogsRequest as LogsRequest
    from spawnery.contract.requests import Place as Place
    from spawnery.contract.requests import Plan as Plan
    from spawnery.contract.requests import PlanRequest as PlanRequest
    from spawnery.contract.requests import RemoveRequest as RemoveRequest
    from spawnery.contract.requests import SpawnRequest as SpawnRequest
    from spawnery.contract.requests import StopRequest as StopRequest
    from spawnery.contract.requests import WatchRequest as WatchRequest
    from spawnery.contract.streams import JobStream as JobStream
    from spawnery.contract.streams import ThreadedStream as ThreadedStream
    from spawnery.contract.streams import start_daemon as start_daemon
else:
    __getattr__, __dir__, __all__ = exports(
        __name__,
        {
            ".declaration": (
                "API_VERSION",
                "LABEL_DEADLINE",
                "LABEL_INSTANCE",
                "LABEL_JOB_ID",
                "LABEL_PREFIX",
                "LABEL_RECORD_ID",
                "LABEL_RETENTION",
                "LABEL_SPEC_HASH",
                "LABEL_START_DEADLINE",
                "SpawnerPlugin",
                "SpawnerRuntime",
            ),
            ".engine_clock": ("EngineClock",),
            ".fields": ("setting",),
            ".hookspecs": (
                "hookimpl",
                "hookspec",
            ),
            ".log_text": (
                "LogStream",
                "LogText",
                "TextDecoder",
                "gap_in_words",
            ),
            ".records": (
                "Begun",
                "JobRecords",
                "Kill",
                "KnownPlace",
                "Record",
                "Step",
            ),
            ".requests": (
                "Cancellation",
                "CheckItem",
                "Deadline",
                "HookContext",
                "LogsRequest",
                "Place",
                "Plan",
                "PlanRequest",
                "RemoveRequest",
                "SpawnRequest",
                "StopRequest",
                "WatchRequest",
            ),
            ".streams": (
                "JobStream",
                "ThreadedStream",
                "start_daemon",
            ),
        },
    )
