"""What a job is and how it ended: specs, statuses, outcomes, secrets, names, quantities."""

from __future__ import annotations

from spawnery._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spawnery.model.job import JobSpec as JobSpec
    from spawnery.model.job import Network as Network
    from spawnery.model.job import PullPolicy as PullPolicy
    from spawnery.model.job import Resources as Resources
    from spawnery.model.job import Security as Security
    from spawnery.model.names import RESERVED_LABELS as RESERVED_LABELS
    from spawnery.model.names import generate_job_id as generate_job_id
    from spawnery.model.names import job_id_from as job_id_from
    from spawnery.model.names import label_value as label_value
    from spawnery.model.outcome import EventKind as EventKind
    from spawnery.model.outcome import JobEvent as JobEvent
    from spawnery.model.outcome import JobGone as JobGone
    from spawnery.model.outcome import JobHandle as JobHandle
    from spawnery.model.outcome import JobSeen as JobSeen
    from spawnery.model.outcome import JobState as JobState
    from spawnery.model.outcome import JobStatus as JobStatus
    from spawnery.model.outcome import KillReason as KillReason
    from spawnery.model.outcome import LogChunk as LogChunk
    from spawnery.model.outcome import Outcome as Outcome
    from spawnery.model.outcome import Synced as Synced
    from spawnery.model.outcome import WatchEvent as WatchEvent
    from spawnery.model.quantity import cpu_millis as cpu_millis
    from spawnery.model.quantity import cpu_nanos as cpu_nanos
    from spawnery.model.quantity import memory_bytes as memory_bytes
    from spawnery.model.quantity import parse_quantity as parse_quantity
    from spawnery.model.secret import MASK as MASK
    from spawnery.model.secret import Masker as Masker
    from spawnery.model.secret import Secret as Secret
    from spawnery.model.secret import SecretRef as SecretRef
else:
    __getattr__, __dir__, __all__ = exports(
        __name__,
        {
            ".job": (
                "JobSpec",
                "Network",
                "PullPolicy",
                "Resources",
                "Security",
            ),
            ".names": (
                "RESERVED_LABELS",
                "generate_job_id",
                "job_id_from",
                "label_value",
            ),
            ".outcome": (
                "EventKind",
                "JobEvent",
                "JobGone",
                "JobHandle",
                "JobSeen",
                "JobState",
                "JobStatus",
                "KillReason",
                "LogChunk",
                "Outcome",
                "Synced",
                "WatchEvent",
            ),
            ".quantity": (
                "cpu_millis",
                "cpu_nanos",
                "memory_bytes",
                "parse_quantity",
            ),
            ".secret": (
                "MASK",
                "Masker",
                "Secret",
                "SecretRef",
            ),
        },
    )
