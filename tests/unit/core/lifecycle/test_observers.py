"""Observers: told of every step, each by itself; what one of them does changes nothing."""

from __future__ import annotations

import threading
from typing import Any

from spawnery import JobState, Secret, hookimpl
from spawnery.lifecycle import observers
from spawnery.model import EventKind, JobEvent
from spawnery.testing import eventually

LIMIT = 60
STEPS = ["spawned", "running", "finished", "removed"]


class Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[JobEvent] = []

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Note it."""
        self.events.append(event)

    def kinds(self, job_id: str) -> list[str]:
        """Return what happened to a job, in order."""
        return [str(event.kind) for event in self.events if event.job_id == job_id]


class Failing(Notes):
    """Fails at each event."""

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Note it, and fail."""
        super().job_event(event)
        msg = "no luck"
        raise RuntimeError(msg)


class Hanging:
    """Does not return from its first event until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Wait."""
        self.let_go.wait(LIMIT)


def ends_well(bench: Any, job_id: str) -> None:
    """Run a job to its end."""
    bench.spawn("sleep:0.2", job_id=job_id)
    assert bench.spawner.wait(job_id, timeout=LIMIT).state is JobState.SUCCEEDED


def test_every_step_is_told_in_order(fake):
    """Each with an id of its own, a time, and the outcome where there is one."""
    notes = Notes()
    ends_well(fake(notes), "a")
    eventually(lambda: "removed" in notes.kinds("a"), message="the removal is told")
    told = dict.fromkeys(notes.kinds("a"))  # at least once: the same step may come again
    assert list(told) == STEPS
    assert len({event.id for event in notes.events}) == len(STEPS)
    assert all(event.time.tzinfo for event in notes.events)
    (outcome,) = {e.outcome for e in notes.events if e.kind is EventKind.FINISHED}
    assert outcome.exit_code == 0


def test_one_that_fails_is_logged_and_told_of_the_next(fake, caplog):
    """Neither the job nor the other observers notice."""
    failing, notes = Failing(), Notes()
    bench = fake(failing, notes)
    ends_well(bench, "a")
    eventually(lambda: "removed" in failing.kinds("a"), message="it is told of every step")
    eventually(lambda: "removed" in notes.kinds("a"), message="the other one is told as well")
    assert "failed on" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "no luck" not in caplog.text  # an exception of a plugin may hold anything
    counts = {o.name: o.failures for o in bench.spawner._parts.observers._observers}
    assert min(counts.values()) == 0
    assert max(counts.values()) >= len(STEPS)


def test_one_that_hangs_holds_nobody_up(fake, monkeypatch, caplog):
    """Its queue is bounded: what does not fit is dropped, counted and said."""
    monkeypatch.setattr(observers, "_QUEUE_LIMIT", 2)
    hanging, notes = Hanging(), Notes()
    bench = fake(hanging, notes)
    try:
        ends_well(bench, "a")
        eventually(lambda: notes.kinds("a")[-1:] == ["removed"], message="the other one is told")
        assert "is too slow" in caplog.text
        dropped = [o.dropped for o in bench.spawner._parts.observers._observers]
        assert max(dropped) >= 1
    finally:
        hanging.let_go.set()


def test_what_is_told_is_masked(fake):
    """Also where a spawner repeats a secret in its own words."""
    notes, word = Notes(), "planted-secret-value"
    bench = fake(notes)
    bench.spawner._parts.masker.add([Secret(word)])
    bench.spawner._parts.observers.tell(EventKind.PROGRESS, "a", f"pulling with {word}")
    eventually(lambda: notes.events != [], message="it is told")
    assert word not in notes.events[0].message
