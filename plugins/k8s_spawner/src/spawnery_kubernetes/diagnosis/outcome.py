"""How a job ended, by what the cluster shows of it: pure.

Sources: Kubernetes documentation, "Job" (terminal conditions), and the kubelet's reasons of
terminated containers.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen
from spawnery.model import JobState, KillReason, Outcome
from spawnery.toolkit import denied_by_kernel

from spawnery_kubernetes.diagnosis.disruptions import ended_by_cluster, was_put_out
from spawnery_kubernetes.diagnosis.start_messages import start_failure
from spawnery_kubernetes.diagnosis.waiting import diagnose
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_REPLACED_USER,
    ANNOTATION_STOPPED,
    GIVEN_UP,
    Condition,
    JobFacts,
    PodFacts,
    Terminated,
)
from spawnery_kubernetes.objects.findings import Finding, events

NEVER_RAN: Final = "the program never ran"
NOT_HEARD: Final = "nobody had read it when its pod went"
NOT_SEEN: Final = "nobody saw it run, and its pod is gone"
_SIGNALLED: Final = 128
_KILLED: Final = _SIGNALLED + signal.SIGKILL
_NOT_STARTED: Final = frozenset({"StartError", "ContainerCannotRun"})
_UNKNOWN: Final = "ContainerStatusUnknown"
"""The kubelet found no trace of the container: its exit code 137 is made up."""
_DEADLINE: Final = "DeadlineExceeded"
"""The reason of Jobs and of pods whose deadline is over."""
_REJECTED: Final = "Pod was rejected"
"""The kubelet's words where it takes no pod, whatever the reason (pkg/kubelet, rejectPod)."""
_NOT_FOUND_CODE: Final = 127
_NOT_RUN_CODE: Final = 126
"""What shells, and other engines, say of a program that could not be run; the runtime says 128."""
_LOG: Final = "read the end of its log; to keep all of it for a while: retention_seconds=900"


@frozen(kw_only=True)
class _Evidence:
    """All that is known of one end.

    Attributes:
        job: The Job.
        pod: The pod that counts, None where none was seen.
        end: How our container ended, None where nobody knows.
        tail: The end of its log.
    """

    job: JobFacts
    pod: PodFacts | None
    end: Terminated | None
    tail: str | None

    @property
    def code(self) -> int | None:
        return None if self.end is None else self.end.code

    @property
    def coded(self) -> str:
        return "exit code unknown" if self.end is None else f"exit code {self.end.code}"

    @property
    def deleted(self) -> bool:
        return self.pod is not None and (self.pod.deleting or self.pod.gone)

    @property
    def ended_first(self) -> bool:
        """Whether the program is known to have ended before anything was done to its pod."""
        told = self.pod is not None and self.pod.ended_first
        return self.end is not None and (told or self.job.noted_end is not None)

    @property
    def complete(self) -> bool:
        word = _last_word(self.job)
        return word is not None and word.type == "Complete"

    @property
    def look(self) -> str:
        """The command that shows what happened."""
        return events(self.job if self.pod is None else self.pod)


def the_pod(pods: Sequence[PodFacts]) -> PodFacts | None:
    """Choose the pod that tells of a job: the newest that is there, else the newest that was."""
    return max(pods, key=lambda p: (not p.gone, str(p.created_at or ""), p.name), default=None)


def outcome_of(
    job: JobFacts,
    pods: Sequence[PodFacts],
    *,
    tail: str | None = None,
    tail_missing: str | None = None,
) -> Outcome | None:
    """Say how a job ended, by the cluster's evidence alone; None while it has not.

    Args:
        job: The Job.
        pods: Its pods, those that are gone too.
        tail: The end of the log of its container.
        tail_missing: Why there is none.
    """
    pod = the_pod(pods)
    if not _ended(job, pod):
        return None
    main = None if pod is None else pod.main
    end = job.noted_end or (None if main is None else main.terminated)
    if end is not None and end.reason == _UNKNOWN:
        end = None
    seen = _Evidence(job=job, pod=pod, end=end, tail=tail)
    told, oom = _judge(seen)
    code = 0 if told.state is JobState.SUCCEEDED else seen.code
    if end is not None and _not_run(end):
        code = _NOT_FOUND_CODE if told.cause == "start.command_not_found" else _NOT_RUN_CODE
    if tail is None:
        ran = has_run(job, pod)
        unread = NOT_SEEN if ran is None else NOT_HEARD
        tail_missing = NEVER_RAN if ran is False else tail_missing or unread
    return Outcome(
        state=told.state,
        cause=told.cause,
        message=told.message,
        hint=told.hint,
        exit_code=code,
        oom=oom,
        started_at=None if end is None else end.started_at,
        finished_at=_finished_at(seen),
        image_digest=None if main is None else main.image_id,
        log_tail=tail,
        log_tail_missing=None if tail is not None else tail_missing,
    )


def has_run(job: JobFacts, pod: PodFacts | None) -> bool | None:
    """Tell whether the program of a job that has ended ever ran; None where nobody knows.

    A pod that was not seen to run may have run after the last look, and a node that lost a
    container says the same of one that ran as of one that was never made.

    Args:
        job: The Job.
        pod: The pod that counts, None where none was seen.
    """
    if job.noted_end is not None:
        return job.noted_end.started_at is not None
    if pod is None:
        return False if _last_word(job) is not None and job.pods_made == 0 else None
    main = pod.main
    if pod.started:
        return True
    if main is not None and main.terminated is not None:
        return False if main.terminated.reason != _UNKNOWN and _not_run(main.terminated) else None
    if pod.unheard and not pod.terminated:
        return None
    if pod.node is None or pod.message.startswith(_REJECTED):
        return False
    if not pod.terminated:
        return None
    # The node says that it failed, and has nothing of the program, or has it waiting still.
    return False if main is not None or not was_put_out(pod) else None


def _last_word(job: JobFacts) -> Condition | None:
    """Return the condition in which the Job says that it completed or failed."""
    found = (job.condition(kind) for kind in ("Complete", "Failed"))
    return next((word for word in found if word is not None and word.status), None)


def _overdue(job: JobFacts) -> Condition | None:
    """Return the condition in which the Job says that its deadline is over."""
    found = (job.condition(kind) for kind in ("Failed", "FailureTarget"))
    late = (word for word in found if word is not None and word.status)
    return next((word for word in late if word.reason == _DEADLINE), None)


def _late(seen: _Evidence) -> str | None:
    """Return what the cluster says of a deadline that ended the program; None where none did.

    The node's deadline counts from when it took the pod, and it told the program's end by the same
    clock: what ended before that had ended by itself.
    """
    if seen.ended_first:
        return None
    word, pod = _overdue(seen.job), seen.pod
    if word is not None:
        return word.message
    if pod is None or pod.reason != _DEADLINE:
        return None
    end = None if seen.end is None else seen.end.finished_at
    if end is not None and pod.taken_at is not None and pod.deadline_seconds is not None:
        limit = pod.taken_at + timedelta(seconds=pod.deadline_seconds)
        return None if end < limit else pod.message
    return pod.message


def _finished_at(seen: _Evidence) -> datetime | None:
    """Return when it ended: without a time nobody would know when its retention is over."""
    if seen.end is not None and seen.end.finished_at is not None:
        return seen.end.finished_at
    told = [*seen.job.conditions, *(() if seen.pod is None else seen.pod.conditions)]
    return max((c.at for c in told if c.at is not None), default=seen.job.created_at)


def _ended(job: JobFacts, pod: PodFacts | None) -> bool:
    """Tell whether it has ended, and nothing that is still to be heard can change how."""
    over = pod is not None and (pod.terminated or pod.gone)
    if (job.note(ANNOTATION_STOPPED) or "").startswith(GIVEN_UP):
        return False
    if job.noted_end is not None:
        return True
    if _last_word(job) is not None:
        return pod is None or over
    if job.suspended or pod is None or not over:
        return False
    if pod.ended_first or not (pod.deleting or pod.gone):
        # A pod that says Succeeded without its container is no evidence: its Job will say.
        return pod.phase == "Failed" or (pod.main is not None and pod.main.terminated is not None)
    # Who deleted it is told by the Job, and that may be heard later than the pod.
    target = job.condition("FailureTarget")
    told = job.note(ANNOTATION_STOPPED) is not None or (target is not None and target.status)
    return told or (job.gone and pod.terminated)


def _judge(seen: _Evidence) -> tuple[Finding, bool | None]:
    """Weigh the evidence, the strongest first; also tell whether memory ran out."""
    stopped = seen.job.note(ANNOTATION_STOPPED)
    if stopped is not None and seen.job.noted_end is None:
        return _stopped(seen, stopped.partition(" ")[0]), None
    overdue = _late(seen)
    if overdue is not None:
        finding = Finding(
            cause="deadline",
            message=f"stopped at its deadline ({seen.coded}); the cluster says {_DEADLINE}:"
            f" {overdue}",
            hint="give it more time: deadline_seconds; or find out why it hangs, by its log",
            state=JobState.TIMED_OUT,
        )
        return finding, None
    by_cluster = (
        None
        if seen.pod is None or seen.ended_first
        else ended_by_cluster(seen.job, seen.pod, seen.end)
    )
    if by_cluster is not None:
        return by_cluster, None
    if seen.end is None:
        return _unseen(seen), None
    ran = not _not_run(seen.end)
    return _by_itself(seen, seen.end), seen.end.reason == "OOMKilled" if ran else None


def _stopped(seen: _Evidence, reason: str) -> Finding:
    kill = KillReason.of_text(reason)
    waited = kill.gives_up and seen.pod is not None
    why = diagnose(seen.job, seen.pod) if waited else None
    if why is not None:
        message = f"{kill.message}: {why.message}"
        return Finding(cause=why.cause, message=message, hint=why.hint, state=kill.state)
    coded = "" if seen.end is None else f" ({seen.coded})"
    return Finding(cause=kill.cause, message=kill.message + coded, state=kill.state)


def _by_itself(seen: _Evidence, end: Terminated) -> Finding:
    """Say how a container ended that neither we nor the cluster are known to have ended."""
    if _not_run(end):
        return start_failure(end.message or end.reason, seen.job.image, seen.look)
    proven = seen.ended_first or not (seen.job.gone and seen.deleted and not seen.complete)
    if end.code == 0 and proven:
        return _exit_zero(seen, end)
    if seen.deleted and not seen.ended_first:
        return _deleted(seen)
    return _by_code(seen, end)


def _not_run(end: Terminated) -> bool:
    """Tell whether the container could not be started."""
    return end.reason in _NOT_STARTED or (end.started_at is None and end.code != 0)


def _exit_zero(seen: _Evidence, end: Terminated) -> Finding:
    if end.started_at is None and not seen.complete:
        return Finding(
            cause="lost.no_proof",
            message="the cluster says exit code 0 of a container that nobody saw start",
            hint="it may have run or not: look at what it was to produce",
            state=JobState.LOST,
        )
    return Finding(cause="exit.zero", message="exit code 0", state=JobState.SUCCEEDED)


def _by_code(seen: _Evidence, end: Terminated) -> Finding:
    oom = end.reason == "OOMKilled"
    if oom and end.code == _KILLED:
        message = "memory ran out: the kernel killed it (exit code 137, OOMKilled)"
        return Finding(
            cause="oom", message=message, hint="give it more: resources.memory_limit=2Gi"
        )
    if end.code == _KILLED:
        message = "killed by SIGKILL, which was not ours (exit code 137)"
        hint = f"somebody killed it, or the node ran out of memory: {seen.look}"
        return Finding(cause="killed.external", message=message, hint=hint)
    if end.code in {_SIGNALLED + number for number in signal.Signals}:
        name = signal.Signals(end.code - _SIGNALLED).name
        message = f"ended by {name}, or by itself with exit code {end.code}"
        return Finding(cause="exit.signal", message=message, hint=_LOG)
    message = f"exit code {end.code}"
    if oom:
        message += "; memory ran out for one of its processes"
    user = seen.job.note(ANNOTATION_REPLACED_USER)
    if user is not None and denied_by_kernel(seen.tail):
        return Finding(
            cause="security.root_image",
            message=f"{message}; it was denied something as user {user}, which the profile"
            " restricted puts in the place of the image's own",
            hint="name a user that may: user=1000, or let it run as its image says:"
            " security=baseline",
        )
    return Finding(cause="exit.nonzero", message=message, hint=_LOG)


def _deleted(seen: _Evidence) -> Finding:
    what = "its Job" if seen.job.gone else "its pod"
    message = f"{what} was deleted, and not by us ({seen.coded})"
    return Finding(
        cause="killed.external",
        message=message,
        hint=f"somebody deleted it, or a controller of the cluster did: {seen.look}",
    )


def _unseen(seen: _Evidence) -> Finding:
    """Say what the Job tells where nothing is known of the program's own end."""
    word = _last_word(seen.job)
    if seen.complete:
        message = "exit code 0: the Job is complete, though its pod was not seen to end"
        return Finding(cause="exit.zero", message=message, state=JobState.SUCCEEDED)
    said = "" if word is None else f"; the cluster says {word.reason}: {word.message}"
    if seen.deleted or seen.pod is None:
        found = _deleted(seen)
        message = found.message if seen.deleted else "its pod is gone, with how its program ended"
        return Finding(cause=found.cause, message=message + said, hint=found.hint)
    if seen.pod.started:
        message = f"its pod failed, and its node does not know any more how its program ended{said}"
        return Finding(cause="killed.external", message=message, hint=seen.look)
    message = f"its pod failed, and nothing tells of its program{said}"
    return Finding(cause="start.failed", message=message, hint=seen.look)
