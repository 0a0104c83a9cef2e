"""What the fake engine knows: its objects, how often each was started, and what changed when."""

from __future__ import annotations

import collections
import heapq
import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

from attrs import asdict, astuple, define, field, frozen

from spawnery.testing.fake.job import FakeJob, Phase

_MOST_CHANGES: Final = 10_000
_MOST_GHOSTS: Final = 5_000
_MOST_REMOVED: Final = 32


@frozen
class Change:
    """One line of the change log: an object of a job changed, or is gone."""

    seq: int
    engine_id: str
    job_id: str
    instance: str
    gone: bool
    record_id: str | None = None


@define
class State:
    """All that the engine knows.

    Attributes:
        jobs: Its objects by name.
        ghosts: Objects that are gone, by engine id: what somebody who listened has of them.
        starts: How often each job id was started.
        changes: The change log.
        seq: Number of the last change.
        made: How many objects were made.
        due: When which object changes by itself.
        dirty: Whether something changed since it was last kept.
    """

    jobs: dict[str, FakeJob] = field(factory=dict)
    ghosts: dict[str, FakeJob] = field(factory=dict)
    starts: dict[str, int] = field(factory=dict)
    changes: collections.deque[Change] = field(
        factory=lambda: collections.deque(maxlen=_MOST_CHANGES)
    )
    seq: int = 0
    made: int = 0
    due: list[tuple[float, str]] = field(factory=list)
    dirty: bool = False

    # -- objects -----------------------------------------------------------------------------

    def add(self, job: FakeJob, now: float) -> None:
        """Take a new object in."""
        self.jobs[job.name] = job
        self.touch(job, now)

    def next_id(self) -> str:
        """Return the next engine id."""
        self.made += 1
        self.dirty = True
        return f"fake-{self.made:06d}"

    def touch(self, job: FakeJob, now: float) -> None:
        """Note that somebody changed an object."""
        self.dirty = True
        job.logged = ""
        self._schedule(job, now)
        self._look(job, now)

    def drop(self, job: FakeJob, *, ghost: bool) -> None:
        """Remove an object."""
        self.dirty = True
        del self.jobs[job.name]
        if ghost:
            self._remember(job)
        self._log(job, gone=True)

    def _remember(self, job: FakeJob) -> None:
        """Keep an object that is gone, for a while; the only evidence of an end for longer."""
        same = [g for g in self.ghosts.values() if g.auto_remove == job.auto_remove]
        most = _MOST_GHOSTS if job.auto_remove else _MOST_REMOVED
        for old in same[: max(0, len(same) - most + 1)]:
            del self.ghosts[old.engine_id]
        self.ghosts[job.engine_id] = job

    def forget(self, name: str, instance: str, engine_id: str | None = None) -> None:
        """Let go of what somebody who listened has of an object that is gone."""
        for known, ghost in list(self.ghosts.items()):
            named = ghost.name == name and ghost.instance == instance
            if named and engine_id in {None, known}:
                del self.ghosts[known]
                self.dirty = True

    def by_id(self, engine_id: str) -> FakeJob | None:
        """Return an object, also one that is gone."""
        ghost = self.ghosts.get(engine_id)
        if ghost is not None:
            return ghost
        return next((job for job in self.jobs.values() if job.engine_id == engine_id), None)

    # -- time --------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Let time pass: log what has changed by itself."""
        while self.due and self.due[0][0] <= now:
            _, name = heapq.heappop(self.due)
            job = self.jobs.get(name)
            if job is not None:
                self._look(job, now)

    def next_due(self) -> float | None:
        """Return when something changes by itself."""
        return self.due[0][0] if self.due else None

    def _schedule(self, job: FakeJob, now: float) -> None:
        for at in job.transitions():
            if at > now:
                heapq.heappush(self.due, (at, job.name))

    def _look(self, job: FakeJob, now: float) -> None:
        phase = job.phase(now)
        if phase == job.logged:
            return
        self.dirty = True
        job.logged = phase
        if phase is Phase.VANISHED:
            self.drop(job, ghost=False)
            return
        self._log(job, gone=False)
        if phase is Phase.ENDED and job.auto_remove:
            self.drop(job, ghost=True)

    # -- the change log ----------------------------------------------------------------------

    def _log(self, job: FakeJob, *, gone: bool) -> None:
        if job.job_id is None or job.instance is None:
            return
        self.seq += 1
        change = Change(self.seq, job.engine_id, job.job_id, job.instance, gone, job.record_id)
        self.changes.append(change)

    def since(self, seq: int) -> Iterator[Change]:
        """Yield what changed after a change, oldest first."""
        newer = itertools.takewhile(lambda change: change.seq > seq, reversed(self.changes))
        return reversed(list(newer))

    def holds(self, seq: int) -> bool:
        """Tell whether nothing after that change was forgotten."""
        return seq <= self.seq and (seq == self.seq or self.changes[0].seq <= seq + 1)

    # -- keeping -----------------------------------------------------------------------------

    def to_json(self) -> str:
        """Write it down."""
        kept: dict[str, Any] = {
            "jobs": [asdict(job) for job in self.jobs.values()],
            "ghosts": [asdict(job) for job in self.ghosts.values()],
            "starts": self.starts,
            "changes": [astuple(change) for change in self.changes],
            "seq": self.seq,
            "made": self.made,
        }
        return json.dumps(kept)

    @classmethod
    def from_json(cls, text: str) -> State:
        """Read what ``to_json`` wrote."""
        kept = json.loads(text)
        state = cls(starts=kept["starts"], seq=kept["seq"], made=kept["made"])
        state.jobs = {job["name"]: FakeJob(**job) for job in kept["jobs"]}
        state.ghosts = {job["engine_id"]: FakeJob(**job) for job in kept["ghosts"]}
        state.changes.extend(Change(*change) for change in kept["changes"])
        for job in state.jobs.values():
            state.due += [(at, job.name) for at in job.transitions()]
        heapq.heapify(state.due)
        return state
