"""What is needed of a Job, a Pod and an Event, and nothing else of them: pure.

A thousand jobs are followed at once, so these facts are kept and the objects are not.
Source: Kubernetes API reference, ``batch/v1`` Job, ``v1`` Pod and Event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from attrs import frozen
from spawnery.contract import LABEL_DEADLINE, LABEL_RETENTION, LABEL_SPEC_HASH, LABEL_START_DEADLINE

CONTAINER: Final = "job"
"""Name of the container that runs the job's program; others may have been added to the pod."""
ANNOTATION_STOPPED: Final = "spawnery.dev/stopped"
"""``<reason> <RFC 3339 time>``, written to the Job before we end it."""
GIVEN_UP: Final = "given_up"
"""The reason where a spawn has failed half way: its Job goes without ever having been a job."""
ANNOTATION_ENDED: Final = "spawnery.dev/ended"
"""How the program ended (see ``noted``), written to the Job before a pod goes that outlived it."""
ANNOTATION_SECRETS: Final = "spawnery.dev/secrets"
"""Names of the Secrets that are made for this Job alone, with commas between them."""
ANNOTATION_SECRET_ENV: Final = "spawnery.dev/secret-env"  # noqa: S105 - a name
"""Names of the job's secret variables, with commas between them; whoever lacks a value of theirs
cannot mask it."""
ANNOTATION_REPLACED_USER: Final = "spawnery.dev/replaced-user"
"""The user that the profile has put in the place of the image's own."""
DISRUPTION: Final = "DisruptionTarget"
"""Type of the condition of a pod that the cluster puts out."""
LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"
_KEPT: Final = (
    LABEL_SPEC_HASH,
    LABEL_DEADLINE,
    LABEL_START_DEADLINE,
    LABEL_RETENTION,
    ANNOTATION_STOPPED,
    ANNOTATION_ENDED,
    ANNOTATION_SECRETS,
    ANNOTATION_SECRET_ENV,
    ANNOTATION_REPLACED_USER,
)
_NO_TIME: Final = 1971
"""The kubelet writes 1970 where it has no time."""
_MESSAGE_LIMIT: Final = 2048
_NOTED: Final = 3
_NEVER: Final = "-"


@frozen(kw_only=True)
class Condition:
    """One condition of a Job or a Pod."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""
    at: datetime | None = None


@frozen(kw_only=True)
class Terminated:
    """How a container ended, in the kubelet's words."""

    code: int
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@frozen(kw_only=True)
class ContainerFacts:
    """A container of a pod; exactly one of ``waiting``, ``running_since``, ``terminated`` counts.

    Attributes:
        name: Its name in the pod.
        waiting: The reason for which it does not run.
        message: The kubelet's words on that.
        running_since: When it started, while it runs.
        terminated: How it ended.
        image: The reference of its image.
        image_id: What the node says that reference is.
        sidecar: Whether it is an init container that is to run beside the job.
        last: How it ended before it was started again.
    """

    name: str
    waiting: str | None = None
    message: str = ""
    running_since: datetime | None = None
    terminated: Terminated | None = None
    image: str = ""
    image_id: str | None = None
    sidecar: bool = False
    last: Terminated | None = None


@frozen(kw_only=True)
class PodFacts:
    """A pod of ours.

    Attributes:
        name, namespace, uid, resource_version: Who it is; ``resource_version`` only grows.
        job_uid: The Job that it belongs to.
        labels: All of its labels.
        node: Where it is, None while it is nowhere.
        phase, reason, message: Its status.
        created_at: When it was made.
        deleting: Whether somebody has asked for its removal.
        gone: Whether it is no longer there: this is what was seen of it last.
        conditions: Its conditions.
        told_at: When the API server took in the last news of its status; not a time of the node.
        ran: Whether an earlier look saw its container run.
        unheard: Whether it went without a last word: it may have run since it was seen last.
        ended_first: Whether its container was told to have ended before the cluster put it out, or
            anybody deleted it.
        others_run: Whether a container beside the job's runs, or is to run; init containers do not
            count.
        taken_at: When the node took it, by the node's clock.
        deadline_seconds: How long after that the node ends it.
        main: The container of the job, None before the kubelet tells of it.
        init: The first init container that did not get through.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str = ""
    job_uid: str | None = None
    labels: Mapping[str, str]
    node: str | None = None
    phase: str
    reason: str = ""
    message: str = ""
    created_at: datetime | None = None
    deleting: bool = False
    gone: bool = False
    conditions: tuple[Condition, ...] = ()
    told_at: datetime | None = None
    ran: bool = False
    unheard: bool = False
    ended_first: bool = False
    others_run: bool = False
    taken_at: datetime | None = None
    deadline_seconds: float | None = None
    main: ContainerFacts | None = None
    init: ContainerFacts | None = None

    @property
    def started(self) -> bool:
        """Whether the job's container was ever seen to run."""
        main = self.main
        if self.ran or main is None:
            return self.ran
        return main.running_since is not None or (
            main.terminated is not None and main.terminated.started_at is not None
        )

    @property
    def terminated(self) -> bool:
        """Whether the job's container has ended, or never will run."""
        ended = self.main is not None and self.main.terminated is not None
        return ended or self.phase in {"Failed", "Succeeded"}

    @property
    def disruption(self) -> Condition | None:
        """The condition in which the cluster says that it puts the pod out."""
        found = self.condition(DISRUPTION)
        return found if found is not None and found.status else None

    def condition(self, kind: str) -> Condition | None:
        """Return a condition by its type."""
        return _first(self.conditions, kind)


@frozen(kw_only=True)
class JobFacts:
    """A Job of ours.

    Attributes:
        name, namespace, uid, resource_version: Who it is; ``resource_version`` only grows.
        labels: All of its labels.
        annotations: Those that are read here.
        created_at: When it was made.
        resumed_at: When it was resumed, of one that was suspended before.
        suspended: Whether it is held back.
        deleting: Whether somebody has asked for its removal.
        gone: Whether it is no longer there: this is what was seen of it last.
        image: The image of the job's container.
        conditions: Its conditions.
        told_at: When the API server took in the last news of its status.
        pods_made: How many pods its controller has counted, whatever became of them; None where it
            does not keep count.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str = ""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None = None
    resumed_at: datetime | None = None
    suspended: bool = False
    deleting: bool = False
    gone: bool = False
    image: str = ""
    conditions: tuple[Condition, ...] = ()
    told_at: datetime | None = None
    pods_made: int | None = None

    def condition(self, kind: str) -> Condition | None:
        """Return a condition by its type."""
        return _first(self.conditions, kind)

    def note(self, key: str) -> str | None:
        """Return one of our own notes on it, be it an annotation or a label."""
        return self.annotations.get(key, self.labels.get(key))

    @property
    def noted_end(self) -> Terminated | None:
        """How the program ended, where that was written on the Job."""
        code, *rest = (self.note(ANNOTATION_ENDED) or "").split(" ")
        if len(rest) != _NOTED or not code.isdecimal():
            return None
        reason, *times = rest
        started, finished = (moment(None if at == _NEVER else at) for at in times)
        return Terminated(code=int(code), reason=reason, started_at=started, finished_at=finished)

    @property
    def retention_seconds(self) -> float:
        """How long it is kept when it has ended."""
        try:
            return float(self.note(LABEL_RETENTION) or 0)
        except ValueError:
            return 0.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the Secrets that are made for it alone."""
        names = self.note(ANNOTATION_SECRETS)
        return tuple(names.split(",")) if names else ()


@frozen(kw_only=True)
class EventFacts:
    """An event of the cluster about a Job or a Pod.

    Attributes:
        about: The uid of what it is about.
        kind: ``Job`` or ``Pod``.
        reason, message: Its words.
        warning: Whether it is one.
        first_at: When the API server took it in first; the other times in it are those of the
            machine that tells.
        version: Resource version, by which events of one object are in order; 0 where unknown.
    """

    about: str
    kind: str
    reason: str
    message: str
    warning: bool = False
    first_at: datetime | None = None
    version: int = 0


def _first(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    return next((c for c in conditions if c.type == kind), None)


def moment(text: str | None) -> datetime | None:
    """Read a time of the API (RFC 3339); None where there is none."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.year >= _NO_TIME else None


def _conditions(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            type=shown["type"],
            status=shown["status"] == "True",
            reason=shown.get("reason") or "",
            message=(shown.get("message") or "")[:_MESSAGE_LIMIT],
            at=moment(shown.get("lastTransitionTime")),
        )
        for shown in status.get("conditions") or ()
    )


def _container(shown: Mapping[str, Any], *, sidecar: bool = False) -> ContainerFacts:
    state = shown.get("state") or {}
    last = (shown.get("lastState") or {}).get("terminated")
    waiting, running, ended = (state.get(k) for k in ("waiting", "running", "terminated"))
    return ContainerFacts(
        name=shown["name"],
        waiting=waiting.get("reason") or "" if waiting is not None else None,
        message=((waiting or {}).get("message") or "")[:_MESSAGE_LIMIT],
        running_since=moment(running.get("startedAt")) if running is not None else None,
        terminated=_terminated(ended) if ended is not None else None,
        image=shown.get("image") or "",
        image_id=(shown.get("imageID") or "").removeprefix("docker-pullable://") or None,
        sidecar=sidecar,
        last=_terminated(last) if last is not None else None,
    )


def _terminated(shown: Mapping[str, Any]) -> Terminated:
    return Terminated(
        code=int(shown["exitCode"]),
        reason=shown.get("reason") or "",
        message=(shown.get("message") or "")[:_MESSAGE_LIMIT],
        started_at=moment(shown.get("startedAt")),
        finished_at=moment(shown.get("finishedAt")),
    )


def _unfinished(
    shown: Iterable[Mapping[str, Any]], specs: Iterable[Mapping[str, Any]]
) -> ContainerFacts | None:
    """Return the first init container that has not done its part: to end, a sidecar's to run."""
    sidecars = {spec["name"] for spec in specs if spec.get("restartPolicy") == "Always"}
    for container in shown:
        facts = _container(container, sidecar=container["name"] in sidecars)
        if facts.sidecar:
            done = facts.running_since is not None and container.get("started") is not False
        else:
            done = facts.terminated is not None and facts.terminated.code == 0
        if not done:
            return facts
    return None


def _told_at(meta: Mapping[str, Any]) -> datetime | None:
    """Return when the API server took in the last change of an object's status, by its own clock.

    Source: kubernetes.io/docs/reference/using-api/server-side-apply, "Field management".
    """
    managed = meta.get("managedFields") or ()
    times = (moment(part.get("time")) for part in managed if part.get("subresource") == "status")
    return max((at for at in times if at is not None), default=None)


def _ended_first(
    meta: Mapping[str, Any], status: Mapping[str, Any], main: ContainerFacts | None
) -> bool:
    """Tell whether a container was told to have ended before the cluster put its pod out.

    The node's time of an end and the time in a condition are of two clocks. Both were written
    through the API server, whose clock tells when (``managedFields``); the eviction API has no
    manager of its own, and its condition is by that same clock. Within a second it is not known.
    When a deletion was asked for is not told for sure: the kubelet changes that at the end.
    """
    if main is None or main.terminated is None:
        return False
    conditions = status.get("conditions") or ()
    found = [c for c in conditions if c["type"] == DISRUPTION and c["status"] == "True"]
    if not found:
        return False
    key = f'k:{{"type":"{DISRUPTION}"}}'
    ends, disruptions = [], []
    for part in meta.get("managedFields") or ():
        fields, at = (part.get("fieldsV1") or {}).get("f:status") or {}, moment(part.get("time"))
        if at is not None and "f:containerStatuses" in fields:
            ends.append(at)
        if at is not None and key in (fields.get("f:conditions") or {}):
            disruptions.append(at)
    if not disruptions and found[0].get("reason") == "EvictionByEvictionAPI":
        at = moment(found[0].get("lastTransitionTime"))
        disruptions = [] if at is None else [at]
    return bool(ends and disruptions) and max(ends) < min(disruptions)


def noted(end: Terminated) -> str:
    """Write how a program ended: exit code, reason, start and end, in one line."""
    times = (_NEVER if at is None else at.isoformat() for at in (end.started_at, end.finished_at))
    return " ".join([str(end.code), end.reason or _NEVER, *times])


def _pods_made(status: Mapping[str, Any]) -> int | None:
    """Count the pods that a Job's controller knows of or has known of.

    No pod goes uncounted where it keeps the list of those that are still to be counted.
    Source: kubernetes.io/docs/concepts/workloads/controllers/job, "Job tracking with finalizers".
    """
    uncounted = status.get("uncountedTerminatedPods")
    if uncounted is None:
        return None
    counts = (status.get(key) or 0 for key in ("active", "succeeded", "failed", "terminating"))
    return sum(counts) + sum(len(uncounted.get(key) or ()) for key in ("succeeded", "failed"))


def _resumed_at(meta: Mapping[str, Any], status: Mapping[str, Any]) -> datetime | None:
    """Return when a Job was resumed; None of one that was never suspended.

    The API server's clock tells when the one who resumed it changed it last; ``startTime``, the
    controller's, only stands in where no manager of the field is known.
    """
    suspended = [c for c in status.get("conditions") or () if c["type"] == "Suspended"]
    if not suspended:
        return None
    times = [
        moment(part.get("time"))
        for part in meta.get("managedFields") or ()
        if "f:suspend" in ((part.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    known = [at for at in times if at is not None]
    return max(known, default=moment(status.get("startTime")))


def facts_of_job(shown: Mapping[str, Any]) -> JobFacts:
    """Keep what is needed of a Job as the API shows it."""
    meta, spec, status = shown["metadata"], shown["spec"], shown.get("status") or {}
    annotations = meta.get("annotations") or {}
    containers = spec["template"]["spec"]["containers"]
    return JobFacts(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        resource_version=meta.get("resourceVersion") or "",
        labels=dict(meta.get("labels") or {}),
        annotations={key: annotations[key] for key in _KEPT if key in annotations},
        created_at=moment(meta.get("creationTimestamp")),
        resumed_at=_resumed_at(meta, status),
        suspended=bool(spec.get("suspend")),
        deleting="deletionTimestamp" in meta,
        image=next((c.get("image") or "" for c in containers if c["name"] == CONTAINER), ""),
        conditions=_conditions(status),
        told_at=_told_at(meta),
        pods_made=_pods_made(status),
    )


def facts_of_pod(shown: Mapping[str, Any]) -> PodFacts:
    """Keep what is needed of a Pod as the API shows it."""
    meta, spec, status = shown["metadata"], shown["spec"], shown.get("status") or {}
    containers = status.get("containerStatuses") or ()
    owners = meta.get("ownerReferences") or ()
    main = next((_container(c) for c in containers if c["name"] == CONTAINER), None)
    return PodFacts(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        resource_version=meta.get("resourceVersion") or "",
        job_uid=next(
            (o["uid"] for o in owners if o.get("controller") and o["kind"] == "Job"), None
        ),
        labels=dict(meta.get("labels") or {}),
        node=spec.get("nodeName") or None,
        phase=status.get("phase") or "Pending",
        reason=status.get("reason") or "",
        message=(status.get("message") or "")[:_MESSAGE_LIMIT],
        created_at=moment(meta.get("creationTimestamp")),
        deleting="deletionTimestamp" in meta,
        conditions=_conditions(status),
        told_at=_told_at(meta),
        ended_first=_ended_first(meta, status, main),
        others_run=any(
            "terminated" not in (c.get("state") or {}) for c in containers if c["name"] != CONTAINER
        ),
        taken_at=moment(status.get("startTime")),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        main=main,
        init=_unfinished(
            status.get("initContainerStatuses") or (), spec.get("initContainers") or ()
        ),
    )


def facts_of_event(shown: Mapping[str, Any]) -> EventFacts:
    """Keep what is needed of an Event as the API shows it."""
    about = shown.get("involvedObject") or {}
    meta = shown["metadata"]
    version = meta.get("resourceVersion") or ""
    return EventFacts(
        about=about.get("uid") or "",
        kind=about.get("kind") or "",
        reason=shown.get("reason") or "",
        message=(shown.get("message") or "")[:_MESSAGE_LIMIT],
        warning=shown.get("type") == "Warning",
        first_at=moment(meta.get("creationTimestamp")),
        version=int(version) if version.isdecimal() else 0,
    )
