"""One spawn: a Job, and its Secret where we hand values over. No request more than that takes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from spawnery.contract import (
    LABEL_RECORD_ID,
    LABEL_SPEC_HASH,
    Deadline,
    SpawnerRuntime,
    SpawnRequest,
)
from spawnery.errors import (
    Ambiguous,
    EngineUnreachable,
    NameConflict,
    SpawnerError,
    SpawnFailed,
    SpecConflict,
    StateError,
)
from spawnery.model import JobHandle

from spawnery_kubernetes.calls.retry import time_is_over
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.errors import ApiError, in_words
from spawnery_kubernetes.jobs.namespace import Namespace
from spawnery_kubernetes.jobs.store import Jobs
from spawnery_kubernetes.manifest.secrets import keys_wanted, new_secret_name, secret_of, values_of
from spawnery_kubernetes.objects.facts import ANNOTATION_SECRETS, JobFacts, facts_of_job
from spawnery_kubernetes.reading.tails import Tails
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.spawning.steps import Steps, cancelled
from spawnery_kubernetes.status import is_ours
from spawnery_kubernetes.translate import job_of, refuse

_STRICT: Final = {"fieldValidation": "Strict"}
"""Without it the API server drops a field that it does not know, with a warning."""
_BRIEF: Final = {
    "Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
}
"""Who the new Job is is all that we do not know of it: its metadata, a sixth less of our time.

Source: kubernetes.io/docs/reference/using-api/api-concepts, "Metadata-only fetches".
"""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class Spawning:
    """Spawns Jobs.

    Args:
        client: The cluster.
        settings: Ours.
        runtime: The host.
        jobs, tails, namespace: The other parts.
    """

    def __init__(
        self,
        client: KubeClient,
        settings: KubernetesSettings,
        runtime: SpawnerRuntime,
        *,
        jobs: Jobs,
        tails: Tails,
        namespace: Namespace,
    ) -> None:
        self._client = client
        self._settings = settings
        self._runtime = runtime
        self._jobs = jobs
        self._tails = tails
        self._namespace = namespace
        self._steps = Steps(client, runtime, jobs=jobs)

    def close(self) -> None:
        """Wait a moment for what cancelled spawns may have left."""
        self._steps.close()

    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make the Job of a request, or take the one that is there; see the hook."""
        refuse(request, self._settings)
        secret = new_secret_name(request)
        namespace = self._client.namespace
        job = job_of(
            request,
            self._settings,
            namespace=namespace,
            secret=secret,
            cluster_user=request.job.user is None and self._namespace.assigns_user(),
        )
        if values_of(request):
            self._jobs.incomplete.add(request.name)
        try:
            return self._make_or_take(request, job)
        except Ambiguous:
            raise
        except SpawnerError:
            self._jobs.incomplete.discard(request.name)
            raise

    def _make_or_take(self, request: SpawnRequest, job: Mapping[str, Any]) -> JobHandle:
        pause = _FIRST_PAUSE
        while True:
            made = self._create(request, job)
            if made is not None:
                return self._complete(request, made, created=True)
            found = self._jobs.show(request.name, timeout=request.deadline.remaining())
            if found is not None and self._is_there(request, found):
                return self._adopt(request, found)
            # It is going, or has just gone; its name is free when it has.
            if time_is_over(request.deadline, pause):
                msg = f"the name {request.name} stayed taken by a Job that is being deleted"
                raise Ambiguous(msg, job_id=request.job.job_id)
            if request.cancellation.wait(pause):
                raise cancelled(request, f"waiting for the name {request.name} to be free")
            pause = min(pause * 2, _LONGEST_PAUSE)

    # -- the Job -----------------------------------------------------------------------------

    def _create(self, request: SpawnRequest, job: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Create the Job; returns its metadata and no more, None where the name is taken."""
        try:
            reply = self._steps.post(
                request,
                "jobs",
                job,
                doing=f"creating the Job {request.name}",
                query=_STRICT,
                headers=_BRIEF,
            )
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT and error.reason == "AlreadyExists":
                return None
            raise _refused(request, error, f"create the Job {request.name}") from None
        for warning in reply.warnings:
            self._runtime.logger.warning("Job %s: %s", request.name, warning)
        made: Mapping[str, Any] = reply.json()
        return made

    def _is_there(self, request: SpawnRequest, found: Mapping[str, Any]) -> bool:
        """Tell whether the Job under the name is this very one and stays; raise if another's."""
        job_id, name = request.job.job_id, request.name
        facts = facts_of_job(found)
        if not is_ours(facts.labels, self._runtime.instance):
            msg = f"the name {name} is taken by a Job that is not ours (uid {facts.uid})"
            where = f"-n {facts.namespace}"
            hint = f"choose another job id, or look at it: kubectl get job {name} {where} -o yaml"
            raise NameConflict(msg, hint=hint, job_id=job_id)
        if facts.deleting:
            return False
        there = facts.labels.get(LABEL_SPEC_HASH)
        if there != request.spec_hash:
            msg = (
                f"job {job_id} exists with another spec"
                f" (hash {there}, asked for {request.spec_hash})"
            )
            hint = f"choose another job id, or remove that job: spawnery rm {job_id}"
            raise SpecConflict(msg, hint=hint, job_id=job_id)
        if self._lacks_values(request, found) and not self._jobs.started(facts):
            self._jobs.give_up(facts, deadline=request.deadline)
            return False
        return True

    def _lacks_values(self, request: SpawnRequest, found: Mapping[str, Any]) -> bool:
        """Tell whether the Job waits for a Secret of which we do not have all values (any more)."""
        secret = _secret_of(found)
        return secret is not None and not keys_wanted(found, name=secret) <= {*values_of(request)}

    def _adopt(self, request: SpawnRequest, found: Mapping[str, Any]) -> JobHandle:
        """Take the Job that has the name; what its first caller did not get to is done now."""
        if _secret_of(found) is not None and not self._jobs.started(facts_of_job(found)):
            return self._complete(request, found, created=False)
        self._jobs.incomplete.discard(request.name)
        return _handle(request, found, created=False)

    # -- what it needs -----------------------------------------------------------------------

    def _complete(
        self, request: SpawnRequest, job: Mapping[str, Any], *, created: bool
    ) -> JobHandle:
        """Give the Job its Secret and mark the record.

        The mark comes last: from a marked record nobody could tell that a Secret is missing. A
        Job that outlives its caller unmarked is found by its name.
        """
        uid, secret = job["metadata"]["uid"], _secret_of(job)
        try:
            if secret is None or self._give(request, secret, uid=uid):
                self._tails.expect(uid, request)
            self._jobs.incomplete.discard(request.name)
            if created and request.cancellation.requested:
                raise cancelled(request, f"creating the Job {request.name}")
            request.created(uid)
        except (Ambiguous, StateError):
            # Its program may run by now: whoever asks for it again takes it up.
            raise
        except SpawnerError:
            limit = Deadline.after(self._runtime.io_timeout_seconds)
            self._jobs.give_up(_known(job["metadata"]), deadline=limit)
            raise
        return _handle(request, job, created=created)

    def _give(self, request: SpawnRequest, secret: str, *, uid: str) -> bool:
        """Make the Secret of a Job; False when it is there: its values may be another caller's."""
        namespace = self._client.namespace
        try:
            body = secret_of(request, name=secret, namespace=namespace, uid=uid)
            doing = f"creating the Secret of the Job {request.name}"
            self._steps.post(request, "secrets", body, doing=doing)
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT and error.reason == "AlreadyExists":
                return False
            raise _refused(request, error, f"create the Secret of {request.name}") from None
        except EngineUnreachable as error:
            # The Job is there: whoever asks again completes it.
            msg, job_id = error.message, request.job.job_id
            raise Ambiguous(msg, hint=error.hint, job_id=job_id) from None
        return True


def _secret_of(job: Mapping[str, Any]) -> str | None:
    """Return the name of the Secret that a Job has to itself."""
    name: str | None = (job["metadata"].get("annotations") or {}).get(ANNOTATION_SECRETS)
    return name


def _known(metadata: Mapping[str, Any]) -> JobFacts:
    """Return what it takes to remove a Job."""
    return JobFacts(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        labels={},
        annotations={},
    )


def _refused(request: SpawnRequest, error: ApiError, doing: str) -> SpawnerError:
    """Say why the cluster did not take what we sent; an error of its own leaves that open."""
    job_id = request.job.job_id
    said = in_words(error, doing, job_id=job_id)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Ambiguous(said.message, cause=said.cause, hint=said.hint, job_id=job_id)
    if error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return SpawnFailed(said.message, cause=said.cause, hint=said.hint, job_id=job_id)
    return said


def _handle(request: SpawnRequest, job: Mapping[str, Any], *, created: bool) -> JobHandle:
    return JobHandle(
        job_id=request.job.job_id,
        name=request.name,
        engine_id=job["metadata"]["uid"],
        record_id=(job["metadata"].get("labels") or {}).get(LABEL_RECORD_ID),
        created=created,
    )
