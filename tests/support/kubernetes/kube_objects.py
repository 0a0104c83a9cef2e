"""Jobs, pods and events as a real cluster showed them (Kubernetes 1.34), recorded for pure tests.

Each file of ``tests/unit/kubernetes/objects`` is one situation, made by hand with kubectl: what it
is, the Job, its pods and what the cluster told of them, trimmed to what is read.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen
from spawnery.model import JobStatus
from spawnery_kubernetes.objects.facts import (
    EventFacts,
    JobFacts,
    PodFacts,
    facts_of_event,
    facts_of_job,
    facts_of_pod,
)
from spawnery_kubernetes.status import status_of

FOLDER = Path(__file__).resolve().parents[2] / "unit" / "kubernetes" / "objects"
PULL_GRACE, START_GRACE = 120.0, 30.0


@frozen(kw_only=True)
class Recorded:
    """One situation."""

    what: str
    job: JobFacts
    pods: tuple[PodFacts, ...]
    events: tuple[EventFacts, ...]

    def seen(self, seconds: float = 1.0, **more: str | None) -> JobStatus:
        """Judge it as seen so many seconds after the last thing that was told of it."""
        told = [self.job.created_at, *(p.created_at for p in self.pods)]
        told += [e.first_at for e in self.events]
        last = max(at for at in told if at is not None)
        return status_of(
            self.job,
            self.pods,
            self.events,
            now=last + timedelta(seconds=seconds),
            pull_grace=PULL_GRACE,
            start_grace=START_GRACE,
            **more,
        )


def names() -> list[str]:
    """Return the names of all situations."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def recorded(name: str) -> Recorded:
    """Return one situation."""
    shown = json.loads((FOLDER / f"{name}.json").read_text())
    return Recorded(
        what=shown["what"],
        job=facts_of_job(shown["job"]),
        pods=tuple(facts_of_pod(pod) for pod in shown["pods"]),
        events=tuple(facts_of_event(event) for event in shown["events"]),
    )


def moment(second: int) -> datetime:
    """Return a time for facts that are made up."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
