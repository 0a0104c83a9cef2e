"""Prometheus metrics of jobs: how many, how long in each phase, how they ended.

Phases: ``queue`` (waits under our limits), ``pull`` (the image is fetched, where the engine tells),
``start`` (from the engine's taking it to its program, without the pull), ``run``.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from attrs import define
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from spawnery.contract import hookimpl
from spawnery.model import EventKind, JobEvent

from spawnery_dispatcher.model.models import Ending

_PREFIX: Final = "spawnery_dispatcher_"
_SECONDS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_REMEMBERED: Final = 10_000


@define
class _Times:
    """When a job reached what; None where it was not seen."""

    spawned: datetime | None = None
    pull_began: datetime | None = None
    pull_ended: datetime | None = None
    running: datetime | None = None


class Metrics:
    """The metrics of one dispatcher, in a registry of their own; an observer of the engine's jobs.

    Attributes:
        registry: prometheus-client's.
        engine: Name of the spawner, a label of all that depends on it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.engine = ""
        self._times: OrderedDict[str, _Times] = OrderedDict()
        self._accepted = Counter(
            f"{_PREFIX}jobs_accepted", "Jobs taken in.", ["project"], registry=self.registry
        )
        self._ended = Counter(
            f"{_PREFIX}jobs_ended",
            "Jobs that ended.",
            ["engine", "state", "cause"],
            registry=self.registry,
        )
        self._phases = Histogram(
            f"{_PREFIX}phase_seconds",
            "Time that jobs spent in a phase; run by how they ended.",
            ["engine", "phase", "cause"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._messages = Counter(
            f"{_PREFIX}agent_messages", "Entries read from agents.", registry=self.registry
        )
        self.followed = Gauge(
            f"{_PREFIX}jobs_followed", "Jobs that are followed now.", registry=self.registry
        )
        self.up = Gauge(f"{_PREFIX}up", "Whether a part answers.", ["part"], registry=self.registry)

    def accepted(self, project: str) -> None:
        """Count a job that was taken in."""
        self._accepted.labels(project).inc()

    def started(self, waited_seconds: float) -> None:
        """Count a job that left the queue."""
        self._phases.labels(self.engine, "queue", "").observe(max(0.0, waited_seconds))

    def ended(self, ending: Ending) -> None:
        """Count an end."""
        self._ended.labels(self.engine, ending.state, ending.cause).inc()

    def heard(self, messages: int) -> None:
        """Count entries of agents."""
        self._messages.inc(messages)

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Time the phases of a job by what the engine tells of it."""
        times = self._times.setdefault(event.job_id, _Times())
        if event.kind is EventKind.SPAWNED:
            times.spawned = event.time
        elif event.kind is EventKind.PROGRESS:
            times.pull_began = times.pull_began or event.time
            times.pull_ended = event.time
        elif event.kind is EventKind.RUNNING:
            times.running = event.time
            self._observe_start(times)
        elif event.kind is EventKind.FINISHED:
            self._times.pop(event.job_id, None)
            outcome = event.outcome
            if outcome and outcome.started_at and outcome.finished_at:
                seconds = (outcome.finished_at - outcome.started_at).total_seconds()
                self._phases.labels(self.engine, "run", outcome.cause).observe(max(0.0, seconds))
        while len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)

    def _observe_start(self, times: _Times) -> None:
        pulled = 0.0
        if times.pull_began and times.pull_ended:
            pulled = (times.pull_ended - times.pull_began).total_seconds()
            self._phases.labels(self.engine, "pull", "").observe(pulled)
        if times.spawned and times.running:
            seconds = (times.running - times.spawned).total_seconds()
            self._phases.labels(self.engine, "start", "").observe(max(0.0, seconds))
