"""What the cluster shows of a job, as its status: pure.

Sources: Kubernetes API reference (``batch/v1`` Job, ``v1`` Pod) and documentation, "Job".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import frozen
from spawnery.contract import (
    LABEL_DEADLINE,
    LABEL_INSTANCE,
    LABEL_JOB_ID,
    LABEL_RECORD_ID,
    LABEL_SPEC_HASH,
    LABEL_START_DEADLINE,
)
from spawnery.model import RESERVED_LABELS, JobState, JobStatus

from spawnery_kubernetes.diagnosis.outcome import outcome_of, the_pod
from spawnery_kubernetes.diagnosis.waiting import diagnose, failing_since, waits_for_own_secret
from spawnery_kubernetes.objects.facts import LABEL_QUEUE, EventFacts, JobFacts, PodFacts
from spawnery_kubernetes.objects.findings import Finding, Patience, describe, events


@frozen
class _Place:
    """Where a job that has not ended stands, and why."""

    state: JobState
    why: Finding | None = None


def is_ours(labels: Mapping[str, str] | None, instance: str) -> bool:
    """Tell whether an object belongs to an instance."""
    found = labels or {}
    return found.get(LABEL_INSTANCE) == instance and LABEL_JOB_ID in found


def status_of(
    job: JobFacts,
    pods: Sequence[PodFacts],
    events: Sequence[EventFacts] = (),
    *,
    now: datetime | None,
    pull_grace: float,
    start_grace: float,
    tail: str | None = None,
    tail_missing: str | None = None,
) -> JobStatus:
    """Put the status of a job together.

    Args:
        job: The Job.
        pods: Its pods, those that are gone too.
        events: Events about both, where they were read.
        now: The present by the API server's clock; None where that is not known.
        pull_grace: Seconds for which a pull that fails may go on trying.
        start_grace: The same of a pod that cannot start for another reason.
        tail: The end of the log of an ended job.
        tail_missing: Why there is none.
    """
    outcome = outcome_of(job, pods, tail=tail, tail_missing=tail_missing)
    pod = the_pod([p for p in pods if not p.gone])
    place = _Place(outcome.state) if outcome is not None else _place(job, pod, events)
    why = place.why
    main = None if pod is None else pod.main
    running_since = None if main is None else main.running_since
    failing = None if why is None else failing_since(job, pod, events)
    return JobStatus(
        job_id=job.labels[LABEL_JOB_ID],
        state=place.state,
        name=job.name,
        engine_id=job.uid,
        record_id=job.note(LABEL_RECORD_ID),
        spec_hash=job.note(LABEL_SPEC_HASH),
        labels={k: v for k, v in job.labels.items() if not k.startswith(RESERVED_LABELS)},
        launched=outcome is not None or not waits_for_own_secret(job, pod),
        accepted_at=job.resumed_at or job.created_at,
        started_at=running_since if outcome is None else outcome.started_at,
        ended_at=None if outcome is None else _ended_at(job, the_pod(pods)),
        deadline_seconds=_seconds(job, LABEL_DEADLINE),
        start_deadline_seconds=_seconds(job, LABEL_START_DEADLINE),
        retention_seconds=job.retention_seconds,
        cause=None if why is None else why.cause,
        message=None if why is None else why.message,
        hint=None if why is None else why.hint,
        since=None if why is None else why.since or failing,
        fatal=why is not None and _is_over(why.patience, failing, now, pull_grace, start_grace),
        outcome=outcome,
    )


def _ended_at(job: JobFacts, pod: PodFacts | None) -> datetime | None:
    """Return when the API server learned of an end: ``finishedAt`` is of the node's clock."""
    if pod is not None and pod.terminated and pod.told_at is not None:
        return pod.told_at
    return job.told_at or job.created_at


def _seconds(job: JobFacts, key: str) -> float | None:
    try:
        return float(job.note(key) or "")
    except ValueError:
        return None


def _is_over(
    patience: Patience,
    since: datetime | None,
    now: datetime | None,
    pull_grace: float,
    start_grace: float,
) -> bool:
    """Tell whether waiting will not help any more."""
    if patience is Patience.NONE:
        return True
    if patience is Patience.ENDLESS or since is None or now is None:
        return False
    grace = pull_grace if patience is Patience.PULL else start_grace
    return (now - since).total_seconds() > grace


def _place(job: JobFacts, pod: PodFacts | None, events: Sequence[EventFacts]) -> _Place:
    if job.suspended:
        return _Place(JobState.QUEUED, _held_back(job))
    if pod is not None and pod.started:
        return _Place(JobState.RUNNING, _out_of_sight(pod))
    scheduled = None if pod is None else pod.condition("PodScheduled")
    if scheduled is not None and scheduled.reason == "SchedulingGated":
        return _Place(JobState.QUEUED, _gated(scheduled.message))
    return _Place(JobState.PENDING, diagnose(job, pod, events))


def _held_back(job: JobFacts) -> Finding:
    queue = job.labels.get(LABEL_QUEUE)
    by = f"the queue {queue} holds it back" if queue else "its Job is suspended"
    return Finding(cause="queued", message=by, hint=events(job), patience=Patience.ENDLESS)


def _gated(message: str) -> Finding:
    said = f"its pod has scheduling gates, which others must lift: {message}"
    return Finding(cause="queued", message=said, patience=Patience.ENDLESS)


def _out_of_sight(pod: PodFacts) -> Finding | None:
    """Tell where the cluster has lost sight of a pod, or is putting it out."""
    disruption = pod.condition("DisruptionTarget")
    ready = pod.condition("Ready")
    # The kubelet always gives a reason; without one it is the node's controller that says so.
    if pod.phase == "Unknown" or (ready is not None and not ready.status and not ready.reason):
        return Finding(
            cause="node.silent",
            message=f"its node {pod.node} does not answer; it may still run there",
            hint=f"kubectl describe node {pod.node}",
            patience=Patience.ENDLESS,
        )
    if disruption is not None and disruption.status:
        said = f"{disruption.reason}: {disruption.message}"
        message = f"the cluster is putting it out; it says {said}"
        return Finding(
            cause="evicted", message=message, hint=describe(pod), patience=Patience.ENDLESS
        )
    return None
