"""Pulling an image: the stream of the engine, its progress, its errors."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from spawnery.contract import Cancellation, Deadline
from spawnery.model import EventKind, JobEvent, PullPolicy

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError, Unanswered, cancelled, in_words
from spawnery_docker.images.credentials import Login, registry_login
from spawnery_docker.images.errors import pull_failed
from spawnery_docker.images.progress import PullProgress
from spawnery_docker.images.reference import Reference
from spawnery_docker.reach.http_stream import json_lines

if TYPE_CHECKING:
    from spawnery.contract import SpawnerRuntime

_LEAST: Final = 0.01
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Puller:
    """Pulls images through the engine.

    Args:
        client: The engine.
        runtime: The host: clock, events, our own environment.
    """

    def __init__(self, client: DockerClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime

    def pull(
        self,
        reference: Reference,
        policy: PullPolicy,
        *,
        job_id: str,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> bool:
        """Pull one image; observers of the job see how far it is.

        Args:
            reference: What to pull.
            policy: The pull policy in force, for errors.
            job_id: The job that needs it.
            deadline: When to give up; the engine then ends the pull too.
            cancellation: When to give up as well.

        Returns:
            False when the deadline came first.

        Raises:
            SpawnFailed: The engine could not pull it, or the job was stopped (``cancelled``).
            EngineError: The engine does not answer.
        """
        problem = None
        login = registry_login(
            reference.registry,
            self._runtime.environ,
            cancellation,
            asking=lambda said: self._tell(job_id, said),
        )
        cut = threading.Event()
        try:
            if not cancellation.requested:
                problem = self._stream(reference, login, job_id, deadline, cut, cancellation)
        except ApiError as error:
            if _from_a_proxy(error):
                raise in_words(error, f"pull {reference.text}", job_id=job_id) from None
            problem = error.message
        except (Unanswered, OSError) as error:
            if not (cut.is_set() or deadline.expired or cancellation.requested):
                problem = f"the connection to the engine broke ({type(error).__name__})"
                raise pull_failed(reference, policy, problem, job_id=job_id) from None
        if cancellation.requested:
            raise cancelled(doing="pulling", what=reference.text, job_id=job_id)
        if cut.is_set() or deadline.expired:
            return False
        if problem is not None:
            raise pull_failed(
                reference,
                policy,
                problem,
                login=login.told,
                login_hint=login.hint,
                job_id=job_id,
            )
        return True

    def _stream(  # noqa: PLR0917 - all of one pull
        self,
        reference: Reference,
        login: Login,
        job_id: str,
        deadline: Deadline,
        cut: threading.Event,
        cancellation: Cancellation,
    ) -> str | None:
        """Read the pull to its end; what went wrong in it, or None. ``cut``: the time was over."""
        progress = PullProgress(reference.text)
        self._tell(job_id, progress.message, progress.data)
        stream = self._client.stream(
            "POST",
            "/images/create",
            query={"fromImage": reference.repository, "tag": reference.version},
            headers=login.headers,
            timeout=max(_LEAST, deadline.remaining()),
            cancellation=cancellation,
        )
        keep = cancellation.on_cancel(stream.close)

        def give_up() -> None:
            cut.set()
            stream.close()

        timer = threading.Timer(deadline.remaining(), give_up)
        timer.daemon = True
        timer.start()
        try:
            for line in json_lines(stream):
                if (problem := _problem(line)) is not None:
                    return problem
                if progress.add(line, now=self._runtime.clock.monotonic()):
                    self._tell(job_id, progress.message, progress.data)
        finally:
            timer.cancel()
            keep()
            stream.close()
        return None

    def _tell(self, job_id: str, message: str, data: Mapping[str, Any] = _NOTHING) -> None:
        event = JobEvent(
            id=uuid.uuid4().hex,
            kind=EventKind.PROGRESS,
            job_id=job_id,
            time=self._runtime.clock.now(),
            message=message,
            cause="image.pulling",
            data=data,
        )
        self._runtime.emit(event)


def _from_a_proxy(error: ApiError) -> bool:
    """Tell a socket proxy that forbids pulls from an engine or registry that forbids this one."""
    words = error.message.lower()
    engine = any(said in words for said in ("denied", "unauthorized", "reserved name"))
    return error.status == HTTPStatus.FORBIDDEN and not engine


def _problem(line: Mapping[str, Any]) -> str | None:
    """Return the error that a line carries (Docker sends both forms, Podman ``error`` alone)."""
    detail = line.get("errorDetail")
    if isinstance(detail, dict) and detail.get("message"):
        return str(detail["message"])
    return str(line["error"]) if line.get("error") else None
