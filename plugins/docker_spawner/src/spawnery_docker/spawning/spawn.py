"""One spawn: image, create, mark, listen, start. No request more than that takes."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

from attrs import evolve
from spawnery.contract import (
    LABEL_DEADLINE,
    LABEL_RECORD_ID,
    LABEL_SPEC_HASH,
    LABEL_START_DEADLINE,
    Deadline,
    SpawnerRuntime,
    SpawnRequest,
)
from spawnery.errors import (
    Ambiguous,
    NameConflict,
    SpawnerError,
    SpawnFailed,
    SpecConflict,
)
from spawnery.model import EventKind, JobEvent, JobHandle

from spawnery_docker.cache import Cache, Entry
from spawnery_docker.client import APIClient, DockerClient
from spawnery_docker.containers.store import Containers
from spawnery_docker.errors import ApiError, Unanswered, cancelled, in_words
from spawnery_docker.images.store import ImageFacts, Images
from spawnery_docker.network.choice import network_missing
from spawnery_docker.output.tails import Tails
from spawnery_docker.reach import podman
from spawnery_docker.settings import DockerSettings
from spawnery_docker.spawning.volumes import Volumes
from spawnery_docker.spawning.waits import Waits
from spawnery_docker.start_errors import start_failure
from spawnery_docker.status import LEAVING, NOT_STARTED_CODES, end_of, is_ours, launched, moment
from spawnery_docker.translate import (
    body_of,
    labels_of,
    limit_refused,
    pull_policy,
    refuse,
    user_of,
)

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_SERVER: Final = 500
_FIRST_PAUSE: Final = 0.05
_WAIT_SECONDS: Final = 1.0
"""How long the answer to a wait may lag behind the failure of a start."""
_RESOLVE_SECONDS: Final = 0.5
_LEAVING: Final = "marked for removal"
"""The engine's word on a container that it is about to remove (moby, daemon/start.go)."""
_LEAST_DEADLINE: Final = 0.001
_LONGEST_PAUSE: Final = 2.0


class Spawning:
    """Spawns containers.

    Args:
        client: The engine.
        settings: Ours.
        runtime: The host.
        images, containers, waits, tails, cache: The other parts.
    """

    def __init__(
        self,
        client: DockerClient,
        settings: DockerSettings,
        runtime: SpawnerRuntime,
        *,
        images: Images,
        containers: Containers,
        waits: Waits,
        tails: Tails,
        cache: Cache,
    ) -> None:
        self._client = client
        self._settings = settings
        self._runtime = runtime
        self._images = images
        self._containers = containers
        self._waits = waits
        self._tails = tails
        self._cache = cache
        self._volumes = Volumes(client, runtime)

    def spawn(self, request: SpawnRequest) -> JobHandle:
        """Make and start the container of a job, or take the one that is there; see the hook."""
        refuse(request, self._settings, podman=self._client.podman is not None)
        request, image = self._with_image(request)
        with self._cache.spawning(request.name):
            return self._spawn(request, image)

    def _spawn(self, request: SpawnRequest, image: ImageFacts) -> JobHandle:
        pause = _FIRST_PAUSE
        while True:
            request, image, engine_id = self._create_of_image(request, image)
            if engine_id is not None:
                entry = self._entry(request, engine_id, labels_of(request, image), image)
                self._cache.made(entry)
                self._start(request, entry, user_of(request, image))
                return _handle(request, entry, created=True)
            found = self._containers.show(request.name, timeout=request.deadline.remaining())
            if found is not None and not self._leaves(request, found):
                return self._adopt(request, found, image)
            # The name is reserved before the container can be looked at (moby, create.go), and
            # still taken while it is being removed.
            if request.deadline.expired:
                msg = f"the name {request.name} stayed taken by a container that is not there"
                raise Ambiguous(msg, job_id=request.job.job_id)
            if request.cancellation.wait(pause):
                raise _cancelled(request, doing="waiting for the name")
            pause = min(pause * 2, _LONGEST_PAUSE)

    # -- create ------------------------------------------------------------------------------

    def _with_image(self, request: SpawnRequest) -> tuple[SpawnRequest, ImageFacts]:
        """Make sure of the image; a pull gives the rest of the spawn a new I/O limit."""
        policy = pull_policy(request, self._settings)
        image = self._images.ensure(
            request.job,
            policy,
            deadline=request.deadline,
            cancellation=request.cancellation,
        )
        if image.pulled_seconds:
            self._tell_created_next(request)
            limit = Deadline.after(self._runtime.io_timeout_seconds)
            labels = _less(request.labels, image.pulled_seconds)
            request = evolve(request, deadline=limit, labels=labels)
        return request, image

    def _tell_created_next(self, request: SpawnRequest) -> None:
        """Tell observers that the pull is over."""
        event = JobEvent(
            id=uuid.uuid4().hex,
            kind=EventKind.PROGRESS,
            job_id=request.job.job_id,
            time=self._runtime.clock.now(),
            message=f"creating the container {request.name}",
            cause="creating",
        )
        self._runtime.emit(event)

    def _create_of_image(
        self, request: SpawnRequest, image: ImageFacts
    ) -> tuple[SpawnRequest, ImageFacts, str | None]:
        """Create; an image that went away since it was looked at is looked for once more."""
        try:
            return request, image, self._create(request, image)
        except SpawnFailed as gone:
            if gone.cause != "image.not_found":
                raise
        request, image = self._with_image(request)
        return request, image, self._create(request, image)

    def _create(self, request: SpawnRequest, image: ImageFacts) -> str | None:
        """Create the container; returns its id, None where the name is taken."""
        on_podman = self._client.podman is not None
        body = body_of(request, self._settings, image, podman=on_podman)
        try:
            with self._within(request) as engine:
                created = engine.create_container_from_config(body, request.name)
        except Unanswered:
            if not request.cancellation.requested:
                raise
            self._discard_made(request)
            raise _cancelled(request, doing="creating the container") from None
        except ApiError as error:
            if error.status == _CONFLICT or podman.is_name_taken(error.message):
                return None
            raise self._not_created(request, error) from None
        for warning in created.get("Warnings") or ():
            self._runtime.logger.warning("container %s: %s", request.name, warning)
        return str(created["Id"])

    def _within(self, request: SpawnRequest) -> AbstractContextManager[APIClient]:
        """Lend the engine for as long as a spawn has; a kill of the job cuts the call off."""
        remaining = request.deadline.remaining()
        return self._client.within(remaining, cancellation=request.cancellation)

    def _discard_made(self, request: SpawnRequest) -> None:
        """Remove what a request has made whose answer was not waited for, where it is there."""
        limit = Deadline.after(_RESOLVE_SECONDS)
        while not limit.expired:
            with contextlib.suppress(SpawnerError):
                shown = self._containers.own(request.name, timeout=limit.remaining())
                labels = {} if shown is None else shown["Config"].get("Labels") or {}
                if shown is not None and labels.get(LABEL_RECORD_ID) == request.record_id:
                    self._containers.discard(
                        shown["Id"], Deadline.after(self._runtime.io_timeout_seconds)
                    )
                    self._cache.forget([shown["Id"]])
                    return
            time.sleep(_FIRST_PAUSE)

    def _not_created(self, request: SpawnRequest, error: ApiError) -> SpawnerError:
        job_id = request.job.job_id
        if error.status == _NOT_FOUND and "image" in error.message.lower():
            msg = f"the image {request.job.image} is not in the engine: {error.message}"
            hint = f"docker pull {request.job.image}"
            return SpawnFailed(
                msg, cause="image.not_found", hint=hint, job_id=job_id, retryable=True
            )
        failure = start_failure(error.message)
        if failure.cause == "start.workdir":
            # The engine makes the folder at create, and says 500 where it cannot.
            return SpawnFailed(
                failure.message, cause=failure.cause, hint=failure.hint, job_id=job_id
            )
        if podman.is_refusal(error.message) and "no space" not in error.message:
            return _refused(request, error)
        if error.status >= _SERVER and "no space" not in error.message:
            msg = f"cannot tell whether {request.name} was created: {error.message}"
            return Ambiguous(msg, job_id=job_id, hint="look at the engine: docker info")
        if error.status in {400, _NOT_FOUND}:
            return limit_refused(request.job, error.message) or _refused(request, error)
        return in_words(error, f"create the container {request.name}", job_id=job_id)

    def _adopt(
        self, request: SpawnRequest, shown: Mapping[str, Any], image: ImageFacts
    ) -> JobHandle:
        """Take the container that has the name, where it is this very job."""
        job_id, name = request.job.job_id, request.name
        labels = shown["Config"].get("Labels") or {}
        if not is_ours(labels, self._runtime.instance):
            msg = f"the name {name} is taken by a container that is not ours ({shown['Id'][:12]})"
            hint = f"choose another job id, or look at it: docker inspect {name}"
            raise NameConflict(msg, hint=hint, job_id=job_id)
        if labels.get(LABEL_SPEC_HASH) != request.spec_hash:
            msg = (
                f"job {job_id} exists with another spec"
                f" (hash {labels.get(LABEL_SPEC_HASH)}, asked for {request.spec_hash})"
            )
            hint = f"choose another job id, or remove that job: spawnery rm {job_id}"
            raise SpecConflict(msg, hint=hint, job_id=job_id)
        entry = self._entry(request, shown["Id"], labels, image, moment(shown["Created"]))
        if not launched(shown):
            self._cache.note(entry)
            self._start(request, entry, user_of(request, image))
        return _handle(request, entry, created=False)

    def _leaves(self, request: SpawnRequest, shown: Mapping[str, Any]) -> bool:
        """Tell whether a container is on its way out, of an earlier job or one that never ran.

        The engine removes it by itself; it is no run of this job.
        """
        labels = shown["Config"].get("Labels") or {}
        record_id, leaving = labels.get(LABEL_RECORD_ID), shown["State"]["Status"] in LEAVING
        if leaving and not launched(shown):
            return is_ours(labels, self._runtime.instance)
        over = leaving or (
            shown["HostConfig"].get("AutoRemove", False) and end_of(shown) is not None
        )
        earlier = is_ours(labels, self._runtime.instance) and record_id != request.record_id
        return earlier and over and request.record_id is not None

    # -- start -------------------------------------------------------------------------------

    def _entry(
        self,
        request: SpawnRequest,
        engine_id: str,
        labels: Mapping[str, str],
        image: ImageFacts,
        accepted_at: datetime | None = None,
    ) -> Entry:
        return Entry(
            engine_id=engine_id,
            name=request.name,
            labels=labels,
            accepted_at=accepted_at or self._runtime.engine_clock.best_guess(),
            image=image.ran,
            reference=request.job.image,
            tail_bytes=request.tail_bytes,
        )

    def _start(self, request: SpawnRequest, entry: Entry, user: str) -> None:
        engine_id = entry.engine_id
        listening: list[Callable[[], None]] = []
        try:
            request.created(engine_id)
            self._volumes.hand_over(engine_id, request, user)
            timeout = request.deadline.remaining()
            listening.append(self._tails.attach(engine_id, request))
            if request.retention_seconds == 0:
                listening.append(self._waits.register(engine_id, timeout=timeout))
            if request.cancellation.requested:
                raise _cancelled(request, doing="starting the container")
            with self._within(request) as engine:
                engine.start(engine_id)
        except Unanswered:
            if not request.cancellation.requested:
                raise
            self._give_up(engine_id, listening)
            raise _cancelled(request, doing="starting the container") from None
        except ApiError as error:
            if error.status < _SERVER or not self._runs_all_the_same(request, engine_id, error):
                self._give_up(engine_id, listening)
                raise self._not_started(request, error) from None
        except SpawnFailed:
            self._give_up(engine_id, listening)
            raise
        self._cache.started(engine_id, self._runtime.engine_clock.best_guess())

    def _runs_all_the_same(self, request: SpawnRequest, engine_id: str, error: ApiError) -> bool:
        """Look whether a start that failed on the way back had its effect."""
        shown = self._containers.show(engine_id, timeout=request.deadline.remaining())
        if shown is None and (start_failure(error.message).known or self._never_ran(engine_id)):
            # With AutoRemove the engine may remove what it could not start.
            return False
        if shown is None:
            msg = f"the container {request.name} is gone, and its start was not confirmed"
            raise Ambiguous(msg, job_id=request.job.job_id)
        return launched(shown) and not shown["State"].get("Error")

    def _never_ran(self, engine_id: str) -> bool:
        """Tell whether a container that is gone ended as one does that could not be started.

        The engine then gives these codes itself (moby, daemon/start.go, ``setExitCodeFromError``),
        and there is no event of a start.
        """
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            entry = self._cache.get(engine_id)
            if entry is None or entry.started_at is not None:
                return False
            if entry.waited is not None:
                return entry.waited.code in NOT_STARTED_CODES
            time.sleep(_FIRST_PAUSE)
        return False

    def _give_up(self, engine_id: str, listening: list[Callable[[], None]]) -> None:
        for stop_listening in listening:
            stop_listening()
        limit = Deadline.after(self._runtime.io_timeout_seconds)
        self._containers.discard(engine_id, limit)
        self._cache.forget([engine_id])

    def _not_started(self, request: SpawnRequest, error: ApiError) -> SpawnerError:
        job_id = request.job.job_id
        words = error.message.lower()
        if (error.status == _NOT_FOUND and "no such container" in words) or _LEAVING in words:
            msg = f"the container {request.name} was gone before it was started"
            return Ambiguous(msg, job_id=job_id)
        if error.status in {401, 403}:
            return in_words(error, f"start the container {request.name}", job_id=job_id)
        return _refused(request, error)


def _cancelled(request: SpawnRequest, *, doing: str) -> SpawnFailed:
    return cancelled(doing=doing, what=request.name, job_id=request.job.job_id)


def _refused(request: SpawnRequest, error: ApiError) -> SpawnFailed:
    job_id = request.job.job_id
    failure = start_failure(error.message, request.job.image)
    if failure.cause == "network.not_found" and request.network is not None:
        return network_missing(request.network, job_id=job_id)
    return SpawnFailed(failure.message, cause=failure.cause, hint=failure.hint, job_id=job_id)


def _less(labels: Mapping[str, str], pulled: float) -> Mapping[str, str]:
    """Take the time of a pull off the deadlines: the engine counts from the create on."""
    left = {
        name: f"{max(_LEAST_DEADLINE, float(labels[name]) - pulled):.3f}"
        for name in (LABEL_DEADLINE, LABEL_START_DEADLINE)
        if name in labels
    }
    return {**labels, **left}


def _handle(request: SpawnRequest, entry: Entry, *, created: bool) -> JobHandle:
    return JobHandle(
        job_id=request.job.job_id,
        name=request.name,
        engine_id=entry.engine_id,
        created=created,
        record_id=entry.labels.get(LABEL_RECORD_ID),
    )
