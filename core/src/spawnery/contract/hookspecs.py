"""The hooks that plugins implement, for pluggy (project name ``spawnery``).

Hooks are plain functions and may block. The facade (``spawnery.Spawner``) is their only caller: it
checks what they return, maps foreign exceptions and keeps the time limits. Every argument is a
frozen object, so the contract grows by fields.

Order of registration: the spawner first, then the extensions in reverse, so that pluggy's
last-registered-first is the order of ``SPAWNER_PLUGINS``, with the spawner last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from spawnery.contract.requests import (
        CheckItem,
        HookContext,
        LogsRequest,
        Place,
        Plan,
        PlanRequest,
        RemoveRequest,
        SpawnRequest,
        StopRequest,
        WatchRequest,
    )
    from spawnery.contract.streams import JobStream
    from spawnery.model.job import JobSpec, Network
    from spawnery.model.outcome import JobEvent, JobHandle, JobStatus, LogChunk, WatchEvent
    from spawnery.model.secret import EnvValue

PROJECT: Final = "spawnery"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

SPAWNER_HOOKS: Final = (
    "spawn",
    "status",
    "list_jobs",
    "watch",
    "logs",
    "stop",
    "remove",
    "plan",
    "check",
)
"""Exactly the spawner implements these, all of them, without wrappers."""
OPTIONAL_HOOKS: Final = {"place": "place"}
"""Hooks that the spawner may implement besides, each with the capability that declares it."""
SHARED_HOOKS: Final = ("build_env", "resolve_network", "review_job", "job_event")
"""Extensions implement any of these; the spawner the first two and ``job_event``."""


class HookSpecs:
    """All hooks."""

    # -- every plugin ------------------------------------------------------------------------

    @hookspec
    def build_env(self, job: JobSpec, context: HookContext) -> Mapping[str, EnvValue] | None:
        """Add environment variables to a job.

        Order:
            After review and capability check, before the network. All are called; who sets a key
            first keeps it, and the job's own env and secrets win over all.
        Concurrency:
            Called from several threads at once for different jobs.
        Idempotency:
            Called again when a spawn is repeated; must not have effects.
        Errors:
            An exception of an extension ends the spawn with its name in the message, before
            anything is created; one that takes too long is abandoned with the same end.
            Reserved names (``JOB_ID``) are refused.
        """

    @hookspec(firstresult=True)
    def resolve_network(self, job: JobSpec, context: HookContext) -> Network | None:
        """Name the network that a job joins.

        Order:
            Asked only when neither the spec nor the operator's setting names one; extensions
            first, the spawner (its detection, then its fallback) last. The first answer wins.
        Concurrency:
            Called from several threads at once for different jobs.
        Idempotency:
            Called again when a spawn is repeated; must not have effects.
        Errors:
            As ``build_env``.
        """

    @hookspec
    def review_job(self, job: JobSpec, context: HookContext) -> JobSpec | None:
        """Look at a job before anything else happens: change it or refuse it.

        Order:
            First of all hooks; extensions only, folded left to right: each sees what the one
            before returned. None leaves the job as it is.
        Concurrency:
            Called from several threads at once for different jobs.
        Idempotency:
            Called again when a spawn is repeated; must not have effects.
        Errors:
            Raise ``JobRefused`` with words for a person to refuse. A changed ``job_id`` or a label
            under ``spawnery.dev/`` is an error of the extension. Other exceptions as ``build_env``.
        """

    @hookspec
    def job_event(self, event: JobEvent) -> None:
        """Observe what happens to jobs.

        Order:
            Per observer in the order in which the events happened, each observer on its own.
        Concurrency:
            One call at a time per observer, from a thread of its own behind a bounded queue.
        Idempotency:
            At least once: an event may come again, with the same ``id``.
        Errors:
            Logged and counted; they change nothing.
        """

    # -- the spawner alone -------------------------------------------------------------------

    @hookspec(firstresult=True)
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make the engine's object of a job and start it.

        Order:
            After the intent was recorded. Call ``request.created(engine_id)`` once, when the
            object exists and before the job can run.
        Concurrency:
            Several threads and processes at once, for the same id too: exactly one of them returns
            ``created=True``. It runs in the caller's own thread, so it must keep to
            ``request.deadline``; the other hooks run in a pool and are abandoned past their limit.
        Idempotency:
            An object of ours under that name with the same spec hash is taken as it is, and
            started when it never was (``created=False``). Same name and another hash:
            ``SpecConflict``. An object that is not ours: ``NameConflict``, and it stays untouched.
        Errors:
            ``SpawnFailed`` with a cause where the engine will not run the job; nothing stays
            behind then. Past ``request.deadline``, or when a reply was lost: ``Ambiguous``.
            ``EngineUnreachable`` only when nothing can have happened.
        """

    @hookspec(firstresult=True)
    def status(self, job_id: str) -> JobStatus | None:
        """Look at one job; None when the engine has no object of ours for it.

        Order:
            Any time.
        Concurrency:
            Any number of threads.
        Idempotency:
            No effects.
        Errors:
            ``EngineUnreachable``, ``EngineDenied``, ``EngineTimeout``: never None because of them.
        """

    @hookspec(firstresult=True)
    def list_jobs(self) -> Sequence[JobStatus]:
        """Look at all jobs of the instance, in every state, ended and never-started ones too.

        Order:
            Any time.
        Concurrency:
            Any number of threads.
        Idempotency:
            No effects.
        Errors:
            As ``status``; never a partial list.
        """

    @hookspec(firstresult=True)
    def watch(self, request: WatchRequest) -> JobStream[WatchEvent]:
        """Open the one stream of changes to all jobs of the instance.

        Order:
            ``JobSeen`` for each job that exists, then ``Synced``, then ``JobSeen`` at each change
            and ``JobGone`` when an object goes. With a cursor that still holds, only what came
            after it, then ``Synced``; otherwise from the start again.
        Concurrency:
            One stream per process; ``close()`` from any thread.
        Idempotency:
            The same status may come several times. How a job ended comes at least once as a
            terminal ``JobSeen``, before its ``JobGone``, wherever the spawner has the evidence.
        Errors:
            ``StreamLost(cursor)`` when the connection breaks; the end of a stream never says
            anything of a job.
        """

    @hookspec(firstresult=True)
    def logs(self, request: LogsRequest) -> JobStream[LogChunk]:
        """Open the log of a job.

        Order:
            After spawn; a job that does not run yet yields nothing until it does (follow) or ends
            the stream (no follow).
        Concurrency:
            Several readers of one job; ``close()`` from any thread.
        Idempotency:
            From the same cursor the same bytes follow. What the engine dropped of them is told by
            the next chunk, or at the end by one without data (capability ``logs.gaps``).
        Errors:
            ``LogsUnavailable`` where the engine has forgotten or never kept it; ``StreamLost``
            when the connection breaks.
        """

    @hookspec(firstresult=True)
    def stop(self, request: StopRequest) -> None:
        """End a job gracefully, then by force. Returns when it has ended or the limit is over.

        Order:
            After the reason was recorded.
        Concurrency:
            Several callers at once; a shorter grace wins (capability ``stop.shorter``).
        Idempotency:
            A job that has ended or is not there is not an error. One that never started never
            starts afterwards.
        Errors:
            ``Ambiguous`` past ``request.deadline``.
        """

    @hookspec(firstresult=True)
    def remove(self, request: RemoveRequest) -> None:
        """Remove the object of a job and all that belongs to it.

        Order:
            After the outcome was recorded, or for an object that never started.
        Concurrency:
            Several callers at once.
        Idempotency:
            An object that is not there is not an error; one that is not ours is left alone.
        Errors:
            ``JobRunning`` when the job still runs; ``Ambiguous`` past ``request.deadline``.
        """

    @hookspec(firstresult=True)
    def plan(self, request: PlanRequest) -> Plan:
        """Show what ``spawn`` would send.

        Order:
            Any time.
        Concurrency:
            Any number of threads.
        Idempotency:
            No effects.
        Errors:
            As ``spawn`` for what can be told without the engine.
        """

    @hookspec(firstresult=True)
    def check(self) -> Sequence[CheckItem]:
        """Look at the engine as a doctor: what works, what does not, what to do.

        Order:
            Any time.
        Concurrency:
            Any number of threads.
        Idempotency:
            No effects.
        Errors:
            None: what fails is a finding.
        """

    # -- the spawner alone, where it declares the capability -----------------------------------

    @hookspec(firstresult=True)
    def place(self) -> Place:
        """Say where the jobs of this spawner live (capability ``place``).

        Order:
            Before the records are used, at each new connection of the watch, and from time to time
            while the id is not known.
        Concurrency:
            Any number of threads.
        Idempotency:
            No effects. The same engine gives the same place, also after a restart.
        Errors:
            None: where the engine does not answer or does not say its id, ``id`` is None. It
            returns within a few seconds also when the engine hangs.
        """
