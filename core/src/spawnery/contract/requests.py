"""What the facade hands to the hooks: frozen, so the contract grows by fields."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from spawnery.model.job import JobSpec, Network
from spawnery.model.secret import Secret, SecretRef


@frozen
class Deadline:
    """A point on the monotonic clock: the time limit of a request's I/O."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining() == 0.0


class Cancellation:
    """Tells a spawn that is under way that its job was stopped.

    Set once and never taken back. A spawner looks at it between its steps, waits with ``wait``
    instead of sleeping, and lets ``on_cancel`` close what it is blocked on (the stream of an image
    pull, a credential helper). It then removes what it has made and raises
    ``SpawnFailed(cause="cancelled")`` with a message that says what it was doing.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether the job was stopped."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; returns at once, and True, when the job is stopped."""
        return self._event.wait(seconds)

    def on_cancel(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call ``call`` when the job is stopped, or now when it was; any thread, must not block.

        Returns:
            Undoes it: ``call`` is not called any more.
        """
        with self._lock:
            if not self._event.is_set():
                self._calls.append(call)
                return lambda: self._drop(call)
        call()
        return lambda: None

    def _drop(self, call: Callable[[], None]) -> None:
        with self._lock:
            if call in self._calls:
                self._calls.remove(call)

    def cancel(self) -> None:
        """Stop the spawn; called by core."""
        with self._lock:
            self._event.set()
            calls, self._calls = self._calls, []
        for call in calls:
            call()


@frozen(kw_only=True)
class Place:
    """Where the jobs of one engine live; the hook ``place`` returns it (capability ``place``).

    Two places are the same when their ids are equal; when one has no id, when their endpoints are
    equal.

    Attributes:
        endpoint: The normalised address: the same text whenever the same address is configured.
        id: What the engine calls itself and keeps over restarts; None where it cannot be read.
        title: What a person calls it; the endpoint when empty.
    """

    endpoint: str
    id: str | None = None
    title: str = ""


@frozen(kw_only=True)
class HookContext:
    """What an extension may know beside the job.

    Attributes:
        spawner: Name of the selected spawner, for example ``docker``.
        instance: The installation that will own the job.
        capabilities: What the spawner can do on its engine.
        environ: Our own environment (not the job's).
        deadline: When the facade gives up on the hook.
    """

    spawner: str
    instance: str
    capabilities: frozenset[str]
    environ: Mapping[str, str] = field(repr=False)
    deadline: Deadline


@frozen(kw_only=True)
class SpawnRequest:
    """One job, complete: nothing is left to be looked up but the engine's own defaults.

    Attributes:
        job: The spec after review.
        spec_hash: Hash of the spec as submitted; it goes on the object.
        record_id: Random id of the job's record; it goes on the object and comes back in every
            status, event and handle, so that evidence names the object that it is about. It is
            in ``labels`` too (``spawnery.dev/record-id``).
        env: All plain variables of the job.
        secrets: All secret variables: values, or ``SecretRef`` of the engine's own secrets.
        network: The network to join, None where the spawner knows none.
        name: Name of the object.
        labels: All labels of the object, ours included.
        options: The spec's options for this spawner, as the spawner's options class (None when
            the spawner has none).
        retention_seconds: How long the ended job is kept; never None.
        grace_seconds: How long the job has after SIGTERM when its deadline stops it.
        tail_bytes: How much of the end of the log the outcome of a failed job carries.
        follow: The caller reads the whole log from its start; an engine that forgets the log at
            the exit has to be listened to before the start.
        deadline: The I/O limit of this call; past it the outcome of the call is ambiguous.
        created: To be called once, with the engine's id, when the object exists and *before* the
            job can run. It writes the record that forbids a second run.
        cancellation: Tells of a stop while this call is under way.
    """

    job: JobSpec
    spec_hash: str
    env: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, Secret | SecretRef] = field(repr=False)
    network: Network | None
    name: str
    labels: Mapping[str, str]
    options: Any = None
    retention_seconds: float
    grace_seconds: float
    tail_bytes: int
    follow: bool = False
    deadline: Deadline
    created: Callable[[str], None] = field(repr=False, eq=False)
    record_id: str | None = None
    cancellation: Cancellation = field(factory=Cancellation, repr=False, eq=False)


@frozen(kw_only=True)
class PlanRequest:
    """Like ``SpawnRequest``, to be shown: secret values are already replaced by a mask."""

    spawn: SpawnRequest
    validate: bool = False
    """Let the engine check it as well, without creating anything (where it can)."""


@frozen(kw_only=True)
class WatchRequest:
    """Open the one stream of changes; ``cursor`` goes on from an earlier one where possible."""

    cursor: str | None = None


@frozen(kw_only=True)
class LogsRequest:
    """Read the log of a job.

    Attributes:
        job_id: The job.
        name: Name of its object.
        cursor: Go on behind this chunk; None: from the start.
        follow: Stay until the job ends.
        since: Leave out what the engine received earlier.
        tail_bytes: Begin so many bytes before the end (0 = all).
        deadline: Limit for opening the stream.
    """

    job_id: str
    name: str
    cursor: str | None = None
    follow: bool = False
    since: datetime | None = None
    tail_bytes: int = 0
    deadline: Deadline


@frozen(kw_only=True)
class StopRequest:
    """End a job: SIGTERM, then SIGKILL after the grace.

    Attributes:
        job_id, name: The job and its object.
        engine_id: Act on this object only, where it is known: another one under the name is
            another job's.
        reason: A ``KillReason``: already recorded.
        grace_seconds: 0 kills at once.
        deadline: I/O limit, the grace included.
    """

    job_id: str
    name: str
    engine_id: str | None = None
    reason: str
    grace_seconds: float
    deadline: Deadline


@frozen(kw_only=True)
class RemoveRequest:
    """Remove the object of a job that has ended or never ran; nothing of it stays.

    Attributes:
        job_id, name: The job and its object.
        engine_id: Act on this object only, where it is known.
        deadline: I/O limit.
    """

    job_id: str
    name: str
    engine_id: str | None = None
    deadline: Deadline


@frozen(kw_only=True)
class Plan:
    """What would be sent to the engine.

    Attributes:
        engine_object: The request as the engine's API takes it, secrets masked.
        notes: For a person: defaults filled in, how the network was found, ...
        problems: What the engine's own validation found.
    """

    engine_object: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class CheckItem:
    """One finding of the doctor.

    Attributes:
        name: What was looked at, for example ``socket``.
        level: ``ok``, ``warning`` or ``failed``.
        detail: What was found.
        hint: What to do.
    """

    name: str
    level: str = "ok"
    detail: str = ""
    hint: str | None = None
