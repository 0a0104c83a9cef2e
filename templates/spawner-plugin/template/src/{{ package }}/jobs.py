"""The verbs: each sends a script and reads its answer."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Iterable
from typing import Final

from attrs import frozen
from spawnery.contract import (
    LABEL_RECORD_ID,
    Cancellation,
    Deadline,
    Place,
    Plan,
    PlanRequest,
    RemoveRequest,
    SpawnerRuntime,
    SpawnRequest,
    StopRequest,
)
from spawnery.errors import Ambiguous, InvalidSpec, JobRunning, SpawnerError, SpawnFailed
from spawnery.model import JobHandle, JobStatus

from . import errors
from .client import Client, script
from .clock import report
from .settings import ShellSettings
from .status import read, status_of
from .translate import Card, card_of, environment, picture, program, start_arguments

_TICKS_PER_SECOND: Final = 10
_STOP_RESERVE_SECONDS: Final = 1.0
"""How long before its limit a stop tells that the job still runs."""
_PLACE_SECONDS: Final = 3.0
_CLEAN_SECONDS: Final = 5.0


@frozen(kw_only=True)
class _Found:
    """The object of a job, as ``create`` made or found it."""

    uid: str
    created: bool = False
    launched: bool = False
    record_id: str | None = None


@frozen(kw_only=True)
class Jobs:
    """The jobs of one instance on one host.

    Attributes:
        settings: Ours.
        runtime: What core gives us.
        client: The way to the host.
    """

    settings: ShellSettings
    runtime: SpawnerRuntime
    client: Client

    @property
    def home(self) -> tuple[str, str]:
        """The first arguments of each script: folder and instance."""
        return self.settings.folder, self.runtime.instance

    def _run(
        self,
        verb: str,
        *arguments: str,
        before: str = "",
        deadline: Deadline,
        cancellation: Cancellation | None = None,
    ) -> list[str]:
        text = script(verb, before=before, arguments=(*self.home, *arguments))
        return self.client.run(text, deadline, cancellation)

    def place(self) -> Place:
        """Say where the jobs live; without an id while the host does not answer; see the hook."""
        endpoint = f"{shlex.join(self.client.argv)} {self.settings.folder}"
        try:
            answer = self._run("place", deadline=Deadline.after(_PLACE_SECONDS))
        except SpawnerError:
            return Place(endpoint=endpoint)
        found = dict(line.partition(" ")[::2] for line in answer)
        machine, root = found.get("machine"), found.get("root")
        known = f"{machine} {root}" if machine and root else None
        return Place(endpoint=endpoint, id=known, title=f"{root} through {self.client.argv[0]}")

    # -- spawn -------------------------------------------------------------------------------

    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make the job's object and start it; see the hook."""
        refuse(request)
        uid = secrets.token_hex(8)
        try:
            return self._spawn(request, uid)
        except SpawnerError:
            if not request.cancellation.requested:
                raise
        raise self._cancelled(request, uid)

    def _spawn(self, request: SpawnRequest, uid: str) -> JobHandle:
        found = self._create(request, uid)
        if not found.launched:
            self._confirm(request, found)
            self._start(request, found.uid)
        return JobHandle(
            job_id=request.job.job_id,
            name=request.name,
            engine_id=found.uid,
            created=found.created,
            record_id=found.record_id,
        )

    def _cancelled(self, request: SpawnRequest, uid: str) -> SpawnerError:
        """Remove what we have made; returns the error of a spawn whose job was stopped."""
        job_id, name = request.job.job_id, request.name
        try:
            answer = self._run("remove", name, uid, deadline=Deadline.after(_CLEAN_SECONDS))
        except SpawnerError as error:
            return Ambiguous(f"cancelled while starting {name}: {error.message}", job_id=job_id)
        if answer not in (["removed"], ["absent"]):
            return Ambiguous(f"cancelled while starting {name}, which runs by now", job_id=job_id)
        msg = f"cancelled while waiting for the host to create and start {name}"
        return SpawnFailed(msg, cause="cancelled", job_id=job_id)

    def _create(self, request: SpawnRequest, uid: str) -> _Found:
        """Make the object under this id, or find the one that is there."""
        job_id, name, wanted = request.job.job_id, request.name, request.spec_hash
        line = card_of(request).dumps()
        answer = self._run(
            *("create", name, uid, wanted, line),
            deadline=request.deadline,
            cancellation=request.cancellation,
        )
        match " ".join(answer).split(" ", 4):
            case ["created"]:
                return _Found(uid=uid, created=True, record_id=request.record_id)
            case ["exists", found, spec_hash, launched, card]:
                if spec_hash != wanted:
                    raise errors.other_spec(name, spec_hash, wanted, job_id)
                record_id = Card.loads(card).labels.get(LABEL_RECORD_ID)
                return _Found(uid=found, launched=launched == "yes", record_id=record_id)
            case ["foreign", *owner]:
                raise errors.taken(name, " ".join(owner), job_id)
            case ["refused", *evidence]:
                raise errors.refused("take the job", " ".join(evidence))
            case _:
                raise errors.unexpected("create", answer)

    def _confirm(self, request: SpawnRequest, found: _Found) -> None:
        """Let core record that the object exists; without that record it must not start."""
        try:
            request.created(found.uid)
        except Exception:
            if found.created:
                self._run("remove", request.name, found.uid, deadline=request.deadline)
            raise

    def _start(self, request: SpawnRequest, uid: str) -> None:
        answer = self._run(
            "start",
            request.name,
            uid,
            *start_arguments(request),
            before=environment(request, uid),
            deadline=request.deadline,
            cancellation=request.cancellation,
        )
        if answer == ["no-setsid"]:
            self._run("remove", request.name, uid, deadline=request.deadline)
            raise errors.no_setsid(request.job.job_id)
        if answer not in (["started"], ["already"]):
            raise errors.unexpected("start", answer)

    def plan(self, request: PlanRequest) -> Plan:
        """Show what would be sent."""
        refuse(request.spawn)
        shown = picture(request.spawn, argv=self.client.argv, root=self.settings.folder)
        note = "the job runs as the user that the command logs in as"
        return Plan(engine_object=shown, notes=(note,))

    # -- looking -----------------------------------------------------------------------------

    def status(self, job_id: str) -> JobStatus | None:
        """Look at one job."""
        name = self.runtime.object_name(job_id)
        found = self._list(name)
        return found[0] if found else None

    def list_jobs(self) -> list[JobStatus]:
        """Look at all jobs of the instance."""
        return self._list()

    def _list(self, *names: str) -> list[JobStatus]:
        sent = time.monotonic()
        return self.statuses(self._run("list", *names, deadline=self._limit()), sent=sent)

    def statuses(self, lines: Iterable[str], *, sent: float | None) -> list[JobStatus]:
        """Make the statuses of an answer.

        Args:
            lines: The answer.
            sent: ``time.monotonic()`` before it was asked for, where it was asked for.

        Raises:
            Ambiguous: It is not an answer of ours.
        """
        lines = list(lines)
        try:
            facts, moment = read(lines)
        except (ValueError, KeyError):
            raise errors.unexpected("list", lines[:3]) from None
        if sent is not None:
            report(self.runtime, moment, sent=sent)
        return [status_of(item) for item in facts]

    def _limit(self) -> Deadline:
        return Deadline.after(self.runtime.io_timeout_seconds)

    # -- ending ------------------------------------------------------------------------------

    def stop(self, request: StopRequest) -> None:
        """End a job; see the hook."""
        left = max(0.0, request.deadline.remaining() - _STOP_RESERVE_SECONDS)
        ticks = [str(int(s * _TICKS_PER_SECOND)) for s in (request.grace_seconds, left)]
        uid = request.engine_id or ""
        answer = self._run("stop", request.name, uid, *ticks, deadline=request.deadline)
        if answer == ["slow"]:
            msg = f"job {request.job_id} still runs: the host has not ended it in time"
            raise Ambiguous(msg, job_id=request.job_id)
        if answer not in (["ended"], ["absent"]):
            raise errors.unexpected("stop", answer)

    def remove(self, request: RemoveRequest) -> None:
        """Remove a job's object; see the hook."""
        uid = request.engine_id or ""
        answer = self._run("remove", request.name, uid, deadline=request.deadline)
        match " ".join(answer).split():
            case ["removed" | "absent"]:
                return
            case ["running"]:
                msg = f"job {request.job_id} still runs"
                hint = f"stop it first: spawnery stop {request.job_id}"
                raise JobRunning(msg, job_id=request.job_id, hint=hint)
            case ["refused", *evidence]:
                raise errors.refused("remove the job", " ".join(evidence))
            case _:
                raise errors.unexpected("remove", answer)


def refuse(request: SpawnRequest) -> None:
    """Refuse, before anything is made, what cannot be sent."""
    program(request.job)
    if request.options is not None:
        msg = "options: this engine has none"
        raise InvalidSpec(msg, field="options", job_id=request.job.job_id)
