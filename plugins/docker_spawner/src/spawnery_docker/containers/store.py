"""The engine's containers as this instance sees them: look, list, stop, remove."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve
from spawnery.contract import LABEL_INSTANCE, Deadline, RemoveRequest, SpawnerRuntime, StopRequest
from spawnery.errors import Ambiguous, JobRunning
from spawnery.model import JobStatus

from spawnery_docker.cache import Cache, Entry
from spawnery_docker.client import DockerClient
from spawnery_docker.containers.past import Past
from spawnery_docker.errors import ApiError, in_words
from spawnery_docker.output.tails import Tails
from spawnery_docker.status import LIVE, End, end_of, is_ours, launched, moment, outcome_of

_GONE: Final = 404
_CONFLICT: Final = 409
_PAUSE: Final = 0.05


class Containers:
    """Containers of one instance.

    Args:
        client: The engine.
        runtime: The host.
        cache: What was seen.
        tails: Ends of logs.
    """

    def __init__(
        self, client: DockerClient, runtime: SpawnerRuntime, cache: Cache, tails: Tails
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._cache = cache
        self._tails = tails
        self._past = Past(client, runtime)

    # -- look --------------------------------------------------------------------------------

    def show(self, name: str, *, timeout: float | None = None) -> Mapping[str, Any] | None:
        """Inspect a container by name or id, whoever owns it; None where there is none."""
        limit = self._runtime.io_timeout_seconds if timeout is None else timeout
        try:
            with self._client.within(limit) as engine:
                shown: Mapping[str, Any] = engine.inspect_container(name)
        except ApiError as error:
            if error.status == _GONE:
                return None
            raise in_words(error, f"look at the container {name}") from None
        return shown

    def own(self, name: str, *, timeout: float | None = None) -> Mapping[str, Any] | None:
        """Inspect a container of this instance; None where there is none of ours."""
        shown = self.show(name, timeout=timeout)
        if shown is None or not is_ours(shown["Config"].get("Labels"), self._runtime.instance):
            return None
        return shown

    def status(self, job_id: str) -> JobStatus | None:
        """Look at a job; one that the engine has forgotten is told from what we saw of it."""
        name = self._runtime.object_name(job_id)
        before = self._cache.last(name)
        shown = self.own(name)
        return self._forgotten(name, before) if shown is None else self.seen(shown)

    def _forgotten(self, name: str, before: Entry | None) -> JobStatus | None:
        """Tell how a container ended that is gone, where this process heard it or nothing ran."""
        entry = None if before is None else self._cache.get(before.engine_id)
        seen = entry is not None and (entry.started_at or entry.outcome)
        if not seen and not self._cache.spawns(name):
            never = self._past.never_started(name)
            if never is not None:
                return never
        if entry is None or (entry.outcome is None and entry.waited is None):
            return None
        if entry.outcome is None and entry.waited is not None:
            end = evolve(entry.waited, started_at=entry.started_at, oom=entry.oom or None)
            entry = self.conclude(entry, end)
        return entry.status

    def conclude(self, entry: Entry, end: End) -> Entry:
        """Note the outcome of a container that is gone, by how it ended and what was heard."""
        tail, missing = self._tails.heard(entry.engine_id)
        outcome = outcome_of(
            end,
            entry.labels,
            image=entry.image,
            reference=entry.reference,
            tail=tail,
            missing=missing,
        )
        return self._cache.note(evolve(entry, outcome=outcome))

    def seen(self, shown: Mapping[str, Any]) -> JobStatus:
        """Turn the reply of an inspect into a status, and remember it."""
        engine_id, end = shown["Id"], end_of(shown)
        known = self._cache.get(engine_id)
        outcome = known.outcome if known is not None else None
        if end is not None and outcome is None:
            if self._client.podman is not None:
                end = evolve(end, oom=end.oom or None)
            tail, missing = self._tails.of(shown, known.tail_bytes if known else None)
            image = (known.image if known else None) or shown.get("Image")
            labels = shown["Config"]["Labels"]
            outcome = outcome_of(
                end,
                labels,
                image=image,
                reference=shown["Config"].get("Image"),
                tail=tail,
                missing=missing,
            )
        entry = Entry(
            engine_id=engine_id,
            name=shown["Name"].removeprefix("/"),
            labels=shown["Config"]["Labels"],
            accepted_at=moment(shown["Created"]),
            started_at=moment(shown["State"].get("StartedAt")) if launched(shown) else None,
            image=shown.get("Image"),
            reference=shown["Config"].get("Image"),
            outcome=outcome,
        )
        return self._cache.note(entry).status

    def list_jobs(self) -> list[JobStatus]:
        """Look at all jobs of the instance, in every state."""
        try:
            with self._client.within(self._runtime.io_timeout_seconds) as engine:
                found = engine.containers(all=True, filters={"label": [self.label]})
        except ApiError as error:
            raise in_words(error, "list the containers") from None
        statuses = (self._listed(item) for item in found)
        return [status for status in statuses if status is not None]

    def _listed(self, item: Mapping[str, Any]) -> JobStatus | None:
        """Look at one entry of a list; only what is not known yet is asked for."""
        if not is_ours(item.get("Labels"), self._runtime.instance):
            return None
        known = self._known(item)
        if known is not None:
            return known.status
        shown = self.own(item["Id"])
        return None if shown is None else self.seen(shown)

    def _known(self, item: Mapping[str, Any]) -> Entry | None:
        """Return what an inspect would not tell more of: it runs, or is being made here.

        A list may be older than the start that we know of, and come before the answer to it.
        """
        known, created = self._cache.get(item["Id"]), item["State"] == "created"
        if not created and item["State"] not in LIVE:
            return None
        if known is not None and known.started_at is not None:
            return known
        name = item["Names"][0].removeprefix("/")
        if self._cache.spawns(name) and (created or known is not None):
            return self._cache.note(Entry(engine_id=item["Id"], name=name, labels=item["Labels"]))
        return None

    @property
    def label(self) -> str:
        """The filter that finds our containers."""
        return f"{LABEL_INSTANCE}={self._runtime.instance}"

    # -- stop and remove ---------------------------------------------------------------------

    def stop(self, request: StopRequest) -> None:
        """End a container of ours, and wait until it has ended; see the hook."""
        shown = self.own(request.engine_id or request.name, timeout=request.deadline.remaining())
        if shown is None or end_of(shown) is not None:
            return
        if not launched(shown):
            self.discard(shown["Id"], request.deadline)
            return
        try:
            with self._client.within(request.deadline.remaining()) as engine:
                if request.grace_seconds > 0:
                    engine.stop(shown["Id"], math.ceil(request.grace_seconds))
                else:
                    engine.kill(shown["Id"], "SIGKILL")
        except ApiError as error:
            if error.status not in {_GONE, _CONFLICT}:
                doing = f"stop the container {request.name}"
                raise in_words(error, doing, job_id=request.job_id) from None
        self._until_ended(shown["Id"], request)

    def _until_ended(self, engine_id: str, request: StopRequest) -> None:
        while True:
            shown = self.show(engine_id)
            if shown is None or shown["State"]["Status"] not in LIVE:
                return
            if request.deadline.expired:
                msg = f"the container {request.name} did not end in time after it was told to"
                raise Ambiguous(msg, job_id=request.job_id)
            time.sleep(_PAUSE)

    def remove(self, request: RemoveRequest) -> None:
        """Remove a container of ours that does not run, with its anonymous volumes."""
        known = self._cache.ids(request.name)
        shown = self.own(request.engine_id or request.name, timeout=request.deadline.remaining())
        if shown is not None and shown["State"]["Status"] in LIVE:
            msg = f"job {request.job_id} still runs"
            hint = f"stop it first: spawnery stop {request.job_id}"
            raise JobRunning(msg, hint=hint, job_id=request.job_id)
        if shown is not None:
            self.discard(shown["Id"], request.deadline)
            known.add(shown["Id"])
        self._cache.forget([request.engine_id] if request.engine_id else known)

    def discard(self, engine_id: str, deadline: Deadline) -> None:
        """Remove a container, whoever else is at it; returns when it is gone."""
        while True:
            try:
                with self._client.within(deadline.remaining()) as engine:
                    engine.remove_container(engine_id, v=True, force=True)
            except ApiError as error:
                if error.status == _GONE:
                    return
                if error.status != _CONFLICT:
                    raise in_words(error, f"remove the container {engine_id[:12]}") from None
            if self.show(engine_id) is None:
                return
            if deadline.expired:
                msg = f"the container {engine_id[:12]} was still being removed when time was over"
                raise Ambiguous(msg, hint=f"docker rm -f {engine_id[:12]}")
            time.sleep(_PAUSE)
