"""What the facade does with jobs that exist: look, wait, end, remove."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from attrs import evolve

from spawnery.contract.records import Record, Step
from spawnery.errors import Ambiguous, JobRunning, SpawnerError, WaitTimeout
from spawnery.lifecycle.calls import Ending
from spawnery.lifecycle.tracker import Tracker, Waiter, ended_status
from spawnery.model.names import check_job_id, object_name
from spawnery.model.outcome import EventKind, JobState, JobStatus, KillReason, Outcome

if TYPE_CHECKING:
    from spawnery.settings.schema import CoreSettings


_CREATING: Final = "creating"
_MEGABYTE: Final = 1e6


class Jobs:
    """The jobs of the instance; the verbs are described at ``Spawner``.

    Args:
        tracker: Follows the jobs, and knows engine and records.
        ending: Stops and removes.
        settings: Grace and limits.
        follow: Starts the tracker where it does not run yet.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        ending: Ending,
        settings: CoreSettings,
        follow: Callable[[], None],
    ) -> None:
        self._tracker = tracker
        self._ending = ending
        self._engine = tracker.engine
        self._ledger = tracker.ledger
        self._settings = settings
        self._follow = follow

    def record(self, job_id: str) -> Record | None:
        """Return what is remembered of a job."""
        return self._ledger.records.get(check_job_id(job_id))

    def status(self, job_id: str) -> JobStatus:
        """See ``Spawner.status``."""
        record = self.record(job_id)
        if record is not None and record.outcome is not None:
            return self._ended(record)
        seen = self._look(job_id, record)
        if seen is not None:
            return self._judged(seen)
        return self._absent(job_id, record)

    def _look(self, job_id: str, record: Record | None) -> JobStatus | None:
        """Ask the engine for a job; another object under its id is not it."""
        seen = self._engine.present(job_id) if record is None else self._engine.status(job_id)
        if seen is None or self._tracker.spawns_again(seen):
            return None
        record = record or self._ledger.records.get(job_id)
        if record is None or self._ledger.concerns(record, seen):
            return seen
        return None

    def outcome(self, job_id: str) -> Outcome:
        """Return the outcome of a job that has ended.

        Raises:
            JobRunning: It has not.
        """
        outcome = self.status(job_id).outcome
        if outcome is None:
            msg = f"job {job_id} has not ended"
            raise JobRunning(msg, job_id=job_id)
        return outcome

    def wait(self, job_id: str, timeout: float | None) -> Outcome:
        """See ``Spawner.wait``."""
        results: queue.SimpleQueue[Outcome | SpawnerError] = queue.SimpleQueue()
        if not self.on_end(job_id, results.put):
            return self.outcome(job_id)
        try:
            result = results.get(timeout=timeout)
        except queue.Empty:
            msg = f"job {job_id} has not ended within {timeout:g} s"
            raise WaitTimeout(msg, job_id=job_id) from None
        finally:
            self._tracker.remove_waiter(job_id, results.put)
        if isinstance(result, SpawnerError):
            raise result
        return result

    def on_end(self, job_id: str, call: Waiter) -> bool:
        """See ``Spawner.on_end``."""
        record = self.record(job_id)
        if record is not None and record.outcome is not None:
            return False
        self._follow()
        self._tracker.add_waiter(job_id, call)
        return True

    def stop(self, job_id: str, grace_seconds: float | None) -> Outcome:
        """See ``Spawner.stop``."""
        grace = self._settings.stop_grace_seconds if grace_seconds is None else grace_seconds
        record = self.record(job_id)
        if record is not None and record.outcome is not None:
            return record.outcome
        if record is not None and self._is_coming(record):
            return self._stop_coming(record, grace)
        seen = self._look(job_id, record)
        found = None if seen is None else self._ledger.of_object(seen)
        if seen is not None and seen.outcome is not None and found is not None:
            return self._ledger.finish(found[0], seen.outcome, new=found[1]).ended
        if found is None:
            record = record or self._ledger.records.get(job_id)
            found = None if record is None else (record, False)
        if found is None:
            raise self._ledger.unknown(job_id)
        if seen is None:
            self._must_be_reached(found[0])
        record = self._kill(found[0], seen, new=found[1])
        if record.outcome is not None:
            return record.outcome
        return self._end(job_id, seen or record, grace)

    def _stop_coming(self, record: Record, grace: float) -> Outcome:
        """Stop a job that is being spawned.

        It has not run, so no end can be missed; its spawn is told before the engine is asked, since
        it may hang where a look hangs too.
        """
        record = self._kill(record, None)
        if record.outcome is not None:
            return record.outcome
        try:
            seen = self._look(record.job_id, record)
        except SpawnerError as error:
            if not error.retryable:
                raise
            return self.wait(record.job_id, grace + self._settings.io_timeout_seconds)
        if seen is not None and seen.outcome is not None:
            return self._ledger.finish(record, seen.outcome).ended
        return self._end(record.job_id, seen or record, grace)

    def _end(self, job_id: str, target: JobStatus | Record, grace: float) -> Outcome:
        """Stop an object, and wait until its end is known."""
        try:
            self._ending.stop(target, KillReason.STOP, grace=grace)
        except Ambiguous as error:
            # Whether it acted shows when we wait for the end; a plugin's bug would only be hidden.
            if not error.retryable:
                raise
        return self.wait(job_id, grace + self._settings.io_timeout_seconds)

    def _is_coming(self, record: Record) -> bool:
        """Tell whether some process is spawning the job, which has not run yet."""
        return record.created_at is None and self._ledger.records.leased(record.job_id) is not None

    def _kill(self, record: Record, seen: JobStatus | None, *, new: bool = False) -> Record:
        """Record the stop, and let a spawn of this process hear of it at once."""
        waiting = seen or self._tracker.live.get(record.job_id)
        record = self._ledger.kill(record, KillReason.STOP, waiting, new=new)
        if record.outcome is None:
            self._tracker.cancel(record.job_id)
        return record

    def remove(self, job_id: str, *, force: bool) -> None:
        """See ``Spawner.remove``."""
        record = self.record(job_id)
        seen = self._engine.present(job_id) if record is None else self._engine.status(job_id)
        if seen is None and record is None:
            raise self._ledger.unknown(job_id)
        if seen is not None and seen.outcome is None and seen.launched:
            if not force:
                msg = f"job {job_id} is {seen.state}"
                hint = f"stop it first, or: spawnery rm --force {job_id}"
                raise JobRunning(msg, job_id=job_id, hint=hint)
            self.stop(job_id, None)
        if seen is not None:
            self._ending.remove(seen)
        elif record is not None:
            self._must_be_reached(record)
            name = object_name(self._ledger.prefix, job_id)
            self._ending.remove(evolve(record, name=name))
        self._ledger.records.forget(job_id)
        self._tracker.on_gone(job_id)
        self._ledger.observers.tell(EventKind.REMOVED, job_id)

    def _must_be_reached(self, record: Record) -> None:
        """Refuse to act on a job that is not seen here and may live on where it was spawned.

        One that is still being created hears of its end from its record, wherever it is.
        """
        open_ = record.created_at is not None and record.outcome is None
        if open_ and not self._ledger.records.absence_counts(record):
            raise self._ledger.out_of_reach(record)

    def list(self) -> Sequence[JobStatus]:
        """See ``Spawner.list``."""
        shown = self._engine.list_jobs()
        # Read after the list, in two statements: one for each job would wait for as many locks. A
        # job that ends between the two is in both.
        unfinished = self._ledger.records.unfinished()
        finished = self._ledger.records.finished()
        records = {record.job_id: record for record in (*unfinished, *finished)}
        statuses = {s.job_id: self._judged(s, records.get(s.job_id)) for s in shown}
        for record in finished:
            there = statuses.get(record.job_id)
            if there is not None and not self._ledger.concerns(record, there):
                there = None
            if there is None or not there.state.terminal:
                statuses[record.job_id] = self._ended(record, there)
        for record in unfinished:
            if record.created_at is None and record.job_id not in statuses:
                statuses[record.job_id] = self._unseen(record)
        return sorted(statuses.values(), key=_age)

    def _ended(self, record: Record, seen: JobStatus | None = None) -> JobStatus:
        """Describe a job that has ended, by the engine's clock also where only we know of it."""
        status = ended_status(record, seen)
        if seen is not None or status.accepted_at is None:
            return status
        return evolve(status, accepted_at=self._ledger.engine_time(status.accepted_at))

    def _judged(self, seen: JobStatus, record: Record | None = None) -> JobStatus:
        """Let the record, which may have been read already, have its say in what is shown."""
        if seen.outcome is None:
            return seen
        found = self._ledger.of_object(seen, record)
        if found is None:
            return seen
        record = self._ledger.finish(found[0], seen.outcome, new=found[1])
        return seen if record.outcome is None else ended_status(record, seen)

    def _absent(self, job_id: str, record: Record | None) -> JobStatus:
        """Say what is known of a job that the engine does not have (any more)."""
        record = record or self._ledger.records.get(job_id)
        if record is None:
            raise self._ledger.unknown(job_id)
        if record.created_at is not None or record.kill is not None:
            with contextlib.suppress(WaitTimeout):
                self.wait(job_id, self._settings.settle_seconds * 2 + 1)
                return self._ended(self._ledger.records.get(job_id) or record)
        return self._unseen(record)

    def _unseen(self, record: Record) -> JobStatus:
        """Describe a job that the engine does not have, and that has not ended."""
        holder = self._ledger.records.leased(record.job_id)
        if holder is not None and record.created_at is None:
            return self._coming(record, holder)
        hint = None
        if not self._ledger.records.absence_counts(record):
            message = "it is not seen here; it may live where it was spawned (spawnery places)"
        elif record.created_at is None:
            message = "it is not in the engine, and no living process is creating it"
            hint = "spawn it again with the same spec, or remove it"
        else:
            message = "the engine does not show it at the moment"
        return JobStatus(
            job_id=record.job_id,
            state=JobState.PENDING,
            name=record.name,
            spec_hash=record.spec_hash,
            launched=record.created_at is not None,
            message=message,
            hint=hint,
        )

    def _coming(self, record: Record, holder: str) -> JobStatus:
        """Describe a job that a living process is creating."""
        step = record.step
        if step is None or step.holder != holder:
            who = "this" if holder == self._ledger.holder else "another"
            message = f"{who} process is creating it, or pulling its image"
            step = Step(holder=holder, since=record.intended_at, message=message, cause=_CREATING)
        return JobStatus(
            job_id=record.job_id,
            state=JobState.PENDING,
            name=record.name,
            spec_hash=record.spec_hash,
            launched=False,
            cause=step.cause or _CREATING,
            message=step.message,
            since=self._ledger.engine_time(step.since),
            progress=_amounts(step),
        )

    def is_coming(self, job_id: str) -> bool:
        """Tell whether a living process is creating a job."""
        record = self.record(job_id)
        return record is not None and record.outcome is None and self._is_coming(record)

    def must_have_come(self, job_id: str) -> None:
        """Raise ``JobNotFound`` where a job that was being created was not."""
        record = self.record(job_id)
        if record is not None and (record.created_at or record.kill or record.outcome):
            return
        if self._engine.status(job_id) is None:
            raise self._ledger.not_created(job_id, record=record)

    def must_be_known(self, job_id: str) -> None:
        """Raise ``JobNotFound`` where neither the engine nor the records know a job."""
        if self.record(job_id) is None and self._engine.status(job_id) is None:
            raise self._ledger.unknown(job_id)


def _amounts(step: Step) -> str | None:
    """Say how far a step is, in decimal megabytes as docker does."""
    if not step.total or step.current is None:
        return None
    return f"{step.current / _MEGABYTE:.1f} of {step.total / _MEGABYTE:.1f} MB"


def _age(status: JobStatus) -> tuple[float, str]:
    return (status.accepted_at.timestamp() if status.accepted_at else 0.0, status.job_id)
