"""Tidies up after crashes; every decision says why, and what is not ours is never touched.

Safe with several processes and instances at once: only objects with our instance's label are
listed, a job that a living process holds is left to it, and every action can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from spawnery.errors import SpawnerError
from spawnery.lifecycle.decisions.policy import Action, Verdict, decide
from spawnery.model.outcome import JobStatus, KillReason
from spawnery.records.leases import new_holder

if TYPE_CHECKING:
    from spawnery.contract.records import Record
    from spawnery.lifecycle.calls import Ending, Engine
    from spawnery.lifecycle.ledger import Ledger
    from spawnery.settings.schema import CoreSettings


_LEASE_SECONDS: Final = 60.0
"""How long a spawn waits at most for a reaper that died while it held a job."""


@frozen(kw_only=True)
class Decision:
    """What the reaper does with a job, and why.

    Attributes:
        job_id: The job.
        action: What it does (``policy.Action``).
        reason: Why.
        done: Whether it was done (False in a dry run and for ``keep``).
        error: Why it could not be done.
    """

    job_id: str
    action: Action
    reason: str
    done: bool = False
    error: str | None = None


class Reaper:
    """Carries out decisions, in the place where the engine is.

    Args:
        engine: The spawner.
        ledger: The records.
        ending: Stops and removes.
        settings: Grace times.
    """

    def __init__(
        self, engine: Engine, ledger: Ledger, *, ending: Ending, settings: CoreSettings
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._ending = ending
        self._settings = settings
        # Not the holder of the spawner: its own spawns are to be kept apart from us as well.
        self._holder = new_holder()

    def reap(self, *, dry_run: bool) -> Sequence[Decision]:
        """Decide on every object and record of the instance, and act unless it is a dry run."""
        return list(self._each(dry_run=dry_run))

    def _each(self, *, dry_run: bool) -> Iterator[Decision]:
        statuses = {s.job_id: s for s in self._engine.list_jobs()}
        records = [*self._ledger.records.unfinished(), *self._ledger.records.finished()]
        remembered = {r.job_id: r for r in records}
        for job_id in sorted({*statuses, *remembered}):
            yield from self._one(
                job_id, remembered.get(job_id), statuses.get(job_id), dry_run=dry_run
            )

    def _one(
        self, job_id: str, record: Record | None, status: JobStatus | None, *, dry_run: bool
    ) -> Iterator[Decision]:
        """Decide and act until nothing more is to be done for a job."""
        action: Action | None = None
        while action not in {Action.KEEP, Action.DROP, Action.FORGET}:
            before = action
            held = self._ledger.records.leased(job_id) is not None
            verdict = self._decide(record, status, held=held)
            action = verdict.action
            decision = Decision(job_id=job_id, action=action, reason=verdict.reason)
            if before is not None and action in {before, Action.KEEP}:
                return
            if dry_run or action is Action.KEEP:
                yield decision
                return
            try:
                done = self._carry_out(verdict, job_id, record, status)
                status = self._engine.status(job_id)
                if status is not None and status.never_ran:
                    status = None  # there is nothing to be removed
            except SpawnerError as error:
                yield evolve(decision, error=error.message)
                return
            record = self._ledger.records.get(job_id)
            if not done:
                reason = "a process has begun to spawn it"
                yield Decision(job_id=job_id, action=Action.KEEP, reason=reason)
                return
            yield evolve(decision, done=True)
            if record is None and status is None:
                return

    def _carry_out(
        self, verdict: Verdict, job_id: str, record: Record | None, status: JobStatus | None
    ) -> bool:
        """Do what was decided; False where a spawn has taken the job up in the meantime.

        What never ran is what a spawn takes up again: it is removed under the job's lease, and only
        if it is still as it was when that was decided.
        """
        if verdict.action is Action.DROP or (
            verdict.action is Action.REMOVE and status is not None and not status.launched
        ):
            with self._leased(job_id) as ours:
                if not ours:
                    return False
                record, status = self._ledger.records.get(job_id), self._engine.status(job_id)
                if self._decide(record, status, held=False).action is not verdict.action:
                    return False
                self._act(verdict, job_id, record, status)
        else:
            self._act(verdict, job_id, record, status)
        return True

    @contextmanager
    def _leased(self, job_id: str) -> Iterator[bool]:
        """Hold a job's lease if it is free."""
        records = self._ledger.records
        ours = records.lease(job_id, holder=self._holder, seconds=_LEASE_SECONDS)
        try:
            yield ours
        finally:
            if ours:
                records.release(job_id, holder=self._holder)

    def _decide(self, record: Record | None, status: JobStatus | None, *, held: bool) -> Verdict:
        if record is not None and status is not None and not self._ledger.concerns(record, status):
            if record.outcome is None:
                reason = "another object bears its name, and its own is gone"
                return Verdict(Action.KEEP if held else Action.FINISH, reason)
            record = None  # of a job that was there before
        if status is None and record is not None and self._may_live_elsewhere(record):
            return Verdict(Action.KEEP, "it may live where it was spawned: not seen here")
        return decide(
            record,
            status,
            now=self._ledger.present(),
            held=lambda: held,
            grace_seconds=self._settings.orphan_grace_seconds,
        )

    def _may_live_elsewhere(self, record: Record) -> bool:
        made = record.created_at is not None or record.kill is not None
        open_ = made and record.outcome is None
        return open_ and not self._ledger.records.absence_counts(record)

    def _act(
        self, verdict: Verdict, job_id: str, record: Record | None, status: JobStatus | None
    ) -> None:
        if verdict.action is Action.FORGET:
            self._ledger.records.forget(job_id)
        elif verdict.action is Action.DROP:
            self._ledger.records.withdraw(job_id)
        elif verdict.action is Action.FINISH:
            self._finish(record, status)
        elif verdict.action is Action.STOP and status is not None:
            self._stop(status, verdict.kill or KillReason.STOP)
        elif verdict.action is Action.REMOVE and status is not None:
            self._remove(status)

    def _finish(self, record: Record | None, status: JobStatus | None) -> None:
        found = None if status is None else self._ledger.of_object(status)
        if found is not None and status is not None:
            self._ledger.finish(found[0], status.outcome, new=found[1])
        elif record is not None:
            there = self._engine.status(record.job_id)
            if there is None or not self._ledger.concerns(record, there):
                # A list may leave out what cannot be read; that is an error here, not an end.
                self._ledger.finish(record, None)
            elif there.outcome is not None:
                self._ledger.finish(record, there.outcome)

    def _stop(self, status: JobStatus, why: KillReason) -> None:
        """End a job: the reason first, then the kill."""
        found = self._ledger.of_object(status)
        if found is not None:
            self._ledger.kill(found[0], why, status, new=found[1])
        self._ending.stop(status, why)

    def _remove(self, status: JobStatus) -> None:
        """Remove an object; the end of one that never started is written down."""
        self._ending.remove(status)
        if not status.launched:
            found = self._ledger.of_object(status)
            if found is not None:
                self._ledger.finish(evolve(found[0], created_at=None), None, new=found[1])
