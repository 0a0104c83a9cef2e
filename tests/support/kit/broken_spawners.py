"""Spawners that break one promise each, on the fake engine: what the conformance kit must catch.

``plugin_path = "broken_spawners:plugin_of_NAME"`` opens one; ``BROKEN`` says which tests must
catch it.
"""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import broken_evidence  # noqa: F401 - registers its own
import broken_streams  # noqa: F401 - registers its own
from attrs import evolve
from broken_base import BROKEN, Lying, caught, success_of, vanished_well
from spawnery.contract import hookimpl
from spawnery.errors import NameConflict, SpawnFailed, SpecConflict
from spawnery.model import JobHandle, JobState, JobStatus, Outcome, Secret
from spawnery.testing.fake import FakeSettings, FakeSpawner, engine_at, plugin
from spawnery.testing.fake.job import status_of

if TYPE_CHECKING:
    from spawnery.contract import (
        Plan,
        PlanRequest,
        RemoveRequest,
        SpawnerPlugin,
        SpawnerRuntime,
        SpawnRequest,
        StopRequest,
    )

# -- P1 --------------------------------------------------------------------------------------


@caught("P1", "test_a_lost_reply")
class SecondObject(FakeSpawner):
    """Makes an object under another name when it is asked again."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Count how often it is asked."""
        self.asked = [*getattr(self, "asked", []), request.job.job_id]
        times = self.asked.count(request.job.job_id)
        other = request if times == 1 else evolve(request, name=f"{request.name}-{times}")
        return evolve(super().spawn(other), name=request.name)


@caught("P1", "test_foreign_object_is_a_conflict")
class AdoptsForeign(FakeSpawner):
    """Takes over what is there under the name."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Relabel it."""
        try:
            return super().spawn(request)
        except NameConflict:
            with self.engine.state() as (state, now):
                job = state.jobs[request.name]
                job.job_id, job.instance = request.job.job_id, self._instance
                job.spec_hash = request.spec_hash
                state.touch(job, now)
            return super().spawn(request)


@caught("P1", "test_foreign_object_is_no_job")
class TakesForeignForJob(FakeSpawner):
    """Looks at the name only."""

    def _status(self, name: str) -> JobStatus | None:
        with self.engine.state() as (state, now):
            job = state.jobs.get(name)
            mine = name.removeprefix("kit-")
            return None if job is None else evolve(status_of(job, now), job_id=mine)


@caught("P1", "test_the_object_itself_knows_its_spec")
class TakesAnySpec(FakeSpawner):
    """Takes an object of ours for the job, whatever its hash."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Do not compare."""
        try:
            return super().spawn(request)
        except SpecConflict:
            return JobHandle(job_id=request.job.job_id, name=request.name, created=False)


@caught("P1", "test_the_object_itself_knows_its_spec")
class AlwaysCreated(FakeSpawner):
    """Says of each object that it has just made it."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Boast."""
        return evolve(super().spawn(request), created=True)


@caught("P1", "test_nothing_runs_before_it_is_recorded")
class NeverMarks(FakeSpawner):
    """Starts the object without waiting for the record."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Leave the call out."""
        return super().spawn(evolve(request, created=lambda _engine_id: None))


# -- P2 --------------------------------------------------------------------------------------


@caught("P2", "test_an_object_that_somebody_removed", "test_an_object_that_vanished_unseen")
class MissingIsSuccess(FakeSpawner):
    """What is gone has surely done its work."""

    @hookimpl
    def watch(self, request: Any) -> Any:
        """Tell of a success before the object is gone."""
        return vanished_well(super().watch(request))

    def _status(self, name: str) -> JobStatus | None:
        found = super()._status(name)
        job_id = name.removeprefix("kit-")
        if found is not None:
            return found
        return success_of(JobStatus(job_id=job_id, name=name, state=JobState.RUNNING))


@caught("P2", "test_exit_0_after_a_kill_is_no_success")
class EvadesTheReason(FakeSpawner):
    """Lets the engine end a job before its deadline, past the record of why."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Send SIGTERM a moment early."""
        handle = super().spawn(request)
        with self.engine.state() as (state, now):
            job = state.jobs[request.name]
            if request.job.deadline_seconds:
                job.signals.append([now + request.job.deadline_seconds / 2, 15, 0])
                state.touch(job, now)
        return handle


@caught("P2", "test_what_never_started_is_no_success")
class NeverStartedIsSuccess(FakeSpawner):
    """A wait that returned 0 is good enough, started or not."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Run nothing in place of what cannot start."""
        if "no/such" in str(request.job.command):
            request = evolve(request, job=evolve(request.job, command=("exit:0",)))
        return super().spawn(request)


@caught("P2", "test_success_has_its_proof")
class NoStart(Lying):
    """Tells of success without a start."""

    def how(self, outcome: Outcome) -> Outcome:
        """Leave the start out."""
        return evolve(outcome, started_at=None)


# -- P3 --------------------------------------------------------------------------------------


@caught("P3", "test_the_outcome_outlives_object_and_process")
class LosesExitCode(Lying):
    """Knows that it failed, not how."""

    def how(self, outcome: Outcome) -> Outcome:
        """Leave the code out."""
        return evolve(outcome, exit_code=outcome.exit_code and None)


@caught("P3", "test_the_outcome_outlives_object_and_process")
class ChangesExitCode(Lying):
    """Every failure is 1."""

    def how(self, outcome: Outcome) -> Outcome:
        """Round the code."""
        return evolve(outcome, exit_code=outcome.exit_code and 1)


@caught("P3", "test_all_waiters_get_the_same", "test_watch_tells_every_job_to_its_end")
class NeverEnds(Lying):
    """Says of an ended job that it runs."""

    def ended(self, status: JobStatus, outcome: Outcome) -> JobStatus:
        """Take it back."""
        return evolve(status, state=JobState.RUNNING, outcome=None)


# -- P4 --------------------------------------------------------------------------------------


class _BadWords(FakeSpawner):
    """Refuses in other words."""

    def words(self, error: SpawnFailed) -> Exception:
        """Return the error to raise."""
        return error

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Change the words."""
        try:
            return super().spawn(request)
        except SpawnFailed as error:
            raise self.words(error) from None


@caught("P4", "test_an_image_that_is_not_there", "test_a_command_that_is_not_there")
class ForeignTraceback(_BadWords):
    """Lets the SDK's own exception out."""

    def words(self, error: SpawnFailed) -> Exception:
        """Be a foreign one."""
        return KeyError(error.message)


@caught("P4", "test_an_image_that_is_not_there", "test_a_command_that_is_not_there")
class WrongCause(_BadWords):
    """Calls every failure by one name."""

    def words(self, error: SpawnFailed) -> Exception:
        """Change the cause."""
        return SpawnFailed(error.message, cause="quota", hint=error.hint, job_id=error.job_id)


@caught("P4", "test_an_image_that_is_not_there", "test_a_command_that_is_not_there")
class NoHint(_BadWords):
    """Does not say what to do."""

    def words(self, error: SpawnFailed) -> Exception:
        """Leave the hint out."""
        return SpawnFailed(error.message, cause=error.cause, job_id=error.job_id)


@caught("P4", "test_an_image_that_is_not_there")
class NoEvidence(_BadWords):
    """Does not say what is missing."""

    def words(self, error: SpawnFailed) -> Exception:
        """Be vague."""
        return SpawnFailed("failed", cause=error.cause, hint=error.hint, job_id=error.job_id)


@caught("P4", "test_nonzero_exit", "test_a_signal")
class BareOutcome(Lying):
    """Explains nothing."""

    def how(self, outcome: Outcome) -> Outcome:
        """Leave the words out."""
        return evolve(outcome, message="", hint=None)


@caught("P4", "test_a_signal", "test_out_of_memory")
class OneCause(Lying):
    """Every failure is an exit code."""

    def how(self, outcome: Outcome) -> Outcome:
        """Change the cause."""
        failed = outcome.state is JobState.FAILED
        return evolve(outcome, cause="exit.nonzero", oom=False) if failed else outcome


# -- P5 --------------------------------------------------------------------------------------


class _Ignores(FakeSpawner):
    """Does not do all that it is asked for."""

    def less(self, request: SpawnRequest) -> SpawnRequest:
        """Return what it does."""
        return request

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Do less."""
        return super().spawn(self.less(request))


@caught("P5", "test_a_field_is_taken_or_refused")
class IgnoresUser(_Ignores):
    """Declares a field that it knows nothing of."""

    def less(self, request: SpawnRequest) -> SpawnRequest:
        """Leave the user out."""
        return evolve(request, job=evolve(request.job, user=None))

    @hookimpl
    def plan(self, request: PlanRequest) -> Plan:
        """Plan less."""
        return super().plan(evolve(request, spawn=self.less(request.spawn)))


@caught("P5", "test_a_field_is_taken_or_refused")
class IgnoresSecurity(IgnoresUser):
    """Has one profile for all, and declares two."""

    def less(self, request: SpawnRequest) -> SpawnRequest:
        """Leave the profile out."""
        return evolve(request, job=evolve(request.job, security=None))


@caught("P5", "test_env_reaches_the_program")
class DropsEnv(_Ignores):
    """Plans the environment and forgets it."""

    def less(self, request: SpawnRequest) -> SpawnRequest:
        """Leave it out."""
        return evolve(request, env={})


@caught("P5", "test_secrets_reach_the_program")
class DropsSecrets(_Ignores):
    """Plans the secrets and forgets them."""

    def less(self, request: SpawnRequest) -> SpawnRequest:
        """Leave them out."""
        return evolve(request, secrets={})


@caught("P5", "test_args_follow_the_command", "test_workdir_is_where_it_runs")
class DropsArgs(_Ignores):
    """Plans arguments and working directory and forgets them."""

    def less(self, request: SpawnRequest) -> SpawnRequest:
        """Leave them out."""
        return evolve(request, job=evolve(request.job, args=None, workdir=None))


@caught("P5", "test_labels_come_back")
class DropsLabels(Lying):
    """Does not keep labels."""

    def told(self, status: JobStatus) -> JobStatus:
        """Leave them out."""
        return evolve(status, labels={})


# -- P6 --------------------------------------------------------------------------------------


@caught("P6", "test_after_the_end", "test_after_its_retention", "test_reap_after_its_retention")
class NeverRemoves(FakeSpawner):
    """Removes nothing."""

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Do nothing."""


@caught("P6", "test_after_a_stop", "test_after_a_stop_before_it_ran", "test_after_a_deadline")
class LeavesTheStopped(FakeSpawner):
    """Leaves what it has stopped."""

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Remove what ended by itself."""
        with self.engine.state() as (state, _):
            job = state.jobs.get(request.name)
        if job is None or not (job.signals or job.stopped_at):
            super().remove(request)


@caught("P6", "test_after_a_failed_start")
class LeavesTheUnstarted(FakeSpawner):
    """Leaves what could not be started."""

    def _start(self, request: SpawnRequest, engine_id: str) -> None:
        if "no/such" in str(request.job.command):
            request.created(engine_id)
            msg = "no such program"
            raise SpawnFailed(msg, cause="start.command_not_found", hint="look for it")
        super()._start(request, engine_id)

    @hookimpl
    def remove(self, request: RemoveRequest) -> None:
        """Remove what was started."""
        if self.engine.starts(request.job_id):
            super().remove(request)


@caught("P6", "test_foreign_objects_stay")
class Sweeper(FakeSpawner):
    """Tidies up what it does not know."""

    def _list(self) -> Sequence[JobStatus]:
        for name in self.engine.objects():
            with self.engine.state() as (state, _):
                foreign = state.jobs[name].instance is None
            if foreign:
                self.engine.remove_outside(name)
        return super()._list()


@caught("P6", "test_another_instance_stays")
class SeesAllInstances(FakeSpawner):
    """Takes every job with our labels for its own."""

    def _list(self) -> Sequence[JobStatus]:
        with self.engine.state() as (state, now):
            return [status_of(job, now) for job in state.jobs.values() if job.job_id]


# -- P7 --------------------------------------------------------------------------------------


class _Tells(FakeSpawner):
    """Tells a secret while it spawns."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Tell it."""
        return request

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Tell all secrets, then do it."""
        for secret in request.secrets.values():
            if isinstance(secret, Secret):
                request = self.tell(secret.reveal(), request)
        return super().spawn(request)


@caught("P7", "test_a_secret_shows_nowhere")
class TellsInLog(_Tells):
    """Writes it to a log of its own."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Log it."""
        logging.getLogger("somebodys.sdk").info("sending %s", value)
        return request


@caught("P7", "test_a_secret_shows_nowhere")
class TellsInLabel(_Tells):
    """Writes it on the object."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Label it."""
        return evolve(request, labels={**request.labels, "debug": value})


@caught("P7", "test_a_secret_shows_nowhere", "test_a_literal_is_hidden_too")
class TellsInHandle(_Tells):
    """Names the object after it."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Return it as the engine's id."""
        values = [s.reveal() for s in request.secrets.values() if isinstance(s, Secret)]
        return evolve(super().spawn(request), engine_id="-".join(values) or None)


@caught("P7", "test_a_secret_shows_nowhere", "test_a_literal_is_hidden_too")
class TellsInFile(_Tells):
    """Keeps it in the state directory."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Write it down."""
        Path(self._runtime.state_dir, "request.txt").write_text(value)
        return request


@caught("P7", "test_a_secret_is_in_no_error")
class TellsInError(_Tells):
    """Fails with it, behind a message that is clean."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Raise it as the reason."""
        if "no/such" not in str(request.job.command):
            return request
        error = SpawnFailed("no such program", cause="start.command_not_found", hint="look")
        raise error from ValueError(f"cannot run with {value}")


@caught("P7", "test_a_secret_is_in_no_command_line")
class TellsInCommandLine(_Tells):
    """Hands it to a process as an argument."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Start one."""
        self.helper = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)", value], stdin=subprocess.DEVNULL
        )
        return request

    def close(self) -> None:
        """End it."""
        self.helper.kill()
        self.helper.wait()


@caught("P7", "test_the_tail_is_masked_elsewhere")
class TellsInTail(_Tells):
    """Keeps the end of the log as it is."""

    @hookimpl
    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Forget which values are secret."""
        handle = super().spawn(request)
        with self.engine.state() as (state, now):
            state.jobs[request.name].secret_keys.clear()
            state.touch(state.jobs[request.name], now)
        return handle


@caught("P7", "test_a_secret_shows_nowhere")
class TellsEncoded(_Tells):
    """Writes it on the object in a form that no mask finds."""

    def tell(self, value: str, request: SpawnRequest) -> SpawnRequest:
        """Encode it."""
        encoded = base64.b64encode(f"value={value}".encode()).decode()
        return evolve(request, labels={**request.labels, "debug": encoded})


# -- P8 --------------------------------------------------------------------------------------


@caught("P8", "test_the_object_itself_carries_its_limits")
class ForgetsLimits(Lying):
    """Does not put deadlines on the object."""

    def told(self, status: JobStatus) -> JobStatus:
        """Leave them out."""
        return evolve(status, deadline_seconds=None, start_deadline_seconds=None)


@caught("P8", "test_a_deadline", "test_a_stop_without_grace")
class NeverStops(FakeSpawner):
    """Says that it has stopped a job, and has not."""

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """Do nothing."""


@caught("P8", "test_a_stop_of_a_program_that_traps_term")
class NoGrace(FakeSpawner):
    """Declares a graceful stop and kills at once."""

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """Kill."""
        super().stop(evolve(request, grace_seconds=0.0))


@caught("P8", "test_a_stop_of_a_program_that_ignores_term")
class OnlyAsks(FakeSpawner):
    """Sends SIGTERM and never SIGKILL."""

    @hookimpl
    def stop(self, request: StopRequest) -> None:
        """Give it all the time that it wants."""
        super().stop(evolve(request, grace_seconds=10_000.0))


# -- P9 --------------------------------------------------------------------------------------


@caught("P9", "test_the_declaration_imports_no_sdk")
class ImportsAtLoad(FakeSpawner):
    """Has its SDK imported by the declaration (see ``__getattr__``)."""


@caught("P9", "test_opening_imports_no_foreign_sdk")
class ImportsForeign(FakeSpawner):
    """Imports the SDK of another engine."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        sys.modules.setdefault("kubernetes", types.ModuleType("kubernetes"))


def __getattr__(name: str) -> SpawnerPlugin:
    """Return the declaration of a broken spawner, as ``module:attribute`` asks for it."""
    _, found, name = name.partition("plugin_of_")
    if not found or name not in BROKEN:
        raise AttributeError(name)
    if name == "ImportsAtLoad":
        sys.modules.setdefault("docker", types.ModuleType("docker"))
    spawner = BROKEN[name].spawner

    def create(settings: FakeSettings, runtime: SpawnerRuntime) -> FakeSpawner:
        return spawner(engine_at(settings.engine or ""), settings, runtime)

    return evolve(plugin, create=create)
