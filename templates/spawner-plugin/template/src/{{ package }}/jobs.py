"""The verbs: each sends a script and reads its answer."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen
from spawnery.contract import Deadline, Plan, PlanRequest, RemoveRequest, SpawnRequest, StopRequest
from spawnery.errors import Ambiguous, InvalidSpec, JobRunning
from spawnery.outcomes import JobHandle, JobStatus
from spawnery.plugin import SpawnerRuntime

from . import errors
from .client import Client, script
from .clock import HostClock
from .settings import ShellSettings
from .status import read, status_of
from .translate import card_of, environment, picture, program, start_arguments

_TICKS_PER_SECOND: Final = 10
_STOP_RESERVE_SECONDS: Final = 1.0
"""How long before its limit a stop tells that the job still runs."""


@frozen(kw_only=True)
class Jobs:
    """The jobs of one instance on one host.

    Attributes:
        settings: Ours.
        runtime: What core gives us.
        client: The way to the host.
        clock: The host's clock.
    """

    settings: ShellSettings
    runtime: SpawnerRuntime
    client: Client
    clock: HostClock = field(repr=False)

    @property
    def home(self) -> tuple[str, str]:
        """The first arguments of each script: folder and instance."""
        return self.settings.folder, self.runtime.instance

    def _run(self, verb: str, *arguments: str, before: str = "", deadline: Deadline) -> list[str]:
        text = script(verb, before=before, arguments=(*self.home, *arguments))
        return self.client.run(text, deadline)

    # -- spawn -------------------------------------------------------------------------------

    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make the job's object and start it; see the hook."""
        refuse(request)
        uid, created, launched = self._create(request)
        if not launched:
            self._confirm(request, uid, created=created)
            self._start(request, uid)
        return JobHandle(
            job_id=request.job.job_id, name=request.name, engine_id=uid, created=created
        )

    def _create(self, request: SpawnRequest) -> tuple[str, bool, bool]:
        """Return the object's id, whether we made it, and whether it was started before."""
        uid = secrets.token_hex(8)
        job_id, name, wanted = request.job.job_id, request.name, request.spec_hash
        line = card_of(request).dumps()
        answer = self._run("create", name, uid, wanted, line, deadline=request.deadline)
        match " ".join(answer).split(" ", 3):
            case ["created"]:
                return uid, True, False
            case ["exists", found, spec_hash, launched]:
                if spec_hash != wanted:
                    raise errors.other_spec(name, spec_hash, wanted, job_id)
                return found, False, launched == "yes"
            case ["foreign", *owner]:
                raise errors.taken(name, " ".join(owner), job_id)
            case ["refused", *evidence]:
                raise errors.refused("take the job", " ".join(evidence))
            case _:
                raise errors.unexpected("create", answer)

    def _confirm(self, request: SpawnRequest, uid: str, *, created: bool) -> None:
        """Let core record that the object exists; without that record it must not start."""
        try:
            request.created(uid)
        except Exception:
            if created:
                self._run("remove", request.name, deadline=request.deadline)
            raise

    def _start(self, request: SpawnRequest, uid: str) -> None:
        answer = self._run(
            "start",
            request.name,
            uid,
            *start_arguments(request),
            before=environment(request, uid),
            deadline=request.deadline,
        )
        if answer == ["no-setsid"]:
            self._run("remove", request.name, deadline=request.deadline)
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
        found = self.statuses(self._run("list", name, deadline=self._limit()))
        return found[0] if found else None

    def list_jobs(self) -> list[JobStatus]:
        """Look at all jobs of the instance."""
        return self.statuses(self._run("list", deadline=self._limit()))

    def statuses(self, lines: Iterable[str]) -> list[JobStatus]:
        """Make the statuses of an answer, in our time.

        Raises:
            Ambiguous: It is not an answer of ours.
        """
        lines = list(lines)
        try:
            facts, moment = read(lines)
        except (ValueError, KeyError):
            raise errors.unexpected("list", lines[:3]) from None
        shift = self.clock.shift(moment)
        return [status_of(item, shift=shift) for item in facts]

    def _limit(self) -> Deadline:
        return Deadline.after(self.runtime.io_timeout_seconds)

    # -- ending ------------------------------------------------------------------------------

    def stop(self, request: StopRequest) -> None:
        """End a job; see the hook."""
        left = max(0.0, request.deadline.remaining() - _STOP_RESERVE_SECONDS)
        ticks = [str(int(s * _TICKS_PER_SECOND)) for s in (request.grace_seconds, left)]
        answer = self._run("stop", request.name, *ticks, deadline=request.deadline)
        if answer == ["slow"]:
            msg = f"job {request.job_id} still runs: the host has not ended it in time"
            raise Ambiguous(msg, job_id=request.job_id)
        if answer not in (["ended"], ["absent"]):
            raise errors.unexpected("stop", answer)

    def remove(self, request: RemoveRequest) -> None:
        """Remove a job's object; see the hook."""
        answer = self._run("remove", request.name, deadline=request.deadline)
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
