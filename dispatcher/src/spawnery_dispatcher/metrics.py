"""Prometheus metrics of jobs: how many, how long in each phase, how they ended."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The metrics of one dispatcher, in a registry of their own.

    Attributes:
        accepted: Jobs taken in, by project.
        ended: Jobs that ended, by engine, state and cause.
        phase_seconds: How long a job was in a phase (queue, start, run), by engine.
        followed: Jobs that this dispatcher follows now.
        messages: Entries read from agents.
        up: Whether a part answers (redis, engine).
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ours = {"namespace": "spawnery", "subsystem": "dispatcher", "registry": self.registry}
        self.accepted = Counter("jobs_accepted", "Jobs taken in.", ["project"], **ours)
        self.ended = Counter("jobs_ended", "Jobs that ended.", ["engine", "state", "cause"], **ours)
        self.phase_seconds = Histogram(
            "phase_seconds",
            "Time that jobs spent in a phase.",
            ["engine", "phase"],
            buckets=_SECONDS,
            **ours,
        )
        self.followed = Gauge("jobs_followed", "Jobs that are followed now.", **ours)
        self.messages = Counter("agent_messages", "Entries read from agents.", **ours)
        self.up = Gauge("up", "Whether a part answers.", ["part"], **ours)
