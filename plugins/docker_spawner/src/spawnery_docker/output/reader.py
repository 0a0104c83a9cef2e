"""One request for a container's log, as messages: ``GET /containers/{id}/logs``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from spawnery.contract import LogsRequest
from spawnery.errors import LogsUnavailable, SpawnerError, StreamLost

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError, in_words
from spawnery_docker.output.demux import DaemonTrouble, Demultiplexer, Malformed, Message
from spawnery_docker.reach.http_stream import ByteStream

Look = Callable[[str], Mapping[str, Any] | None]

_NANO: Final = 1_000_000_000
_GONE: Final = frozenset({404, 409})
_UNREADABLE: Final = 501


class LogReader:
    """Asks for logs.

    Args:
        client: The engine.
        look: Inspects a container by id; None where there is none.
        now: The engine's present, not earlier than it is.
        timeout: Limit in seconds until the header of an answer.
    """

    def __init__(
        self, client: DockerClient, look: Look, now: Callable[[], datetime], *, timeout: float
    ) -> None:
        self._client = client
        self.look = look
        self.now = now
        self._timeout = timeout

    @property
    def podman(self) -> bool:
        """Whether it is Podman, whose logs are kept by rules of its own."""
        return self._client.podman is not None

    def open(
        self,
        request: LogsRequest,
        engine_id: str,
        *,
        follow: bool,
        since: int = 0,
        lines: int | None = None,
    ) -> Messages:
        """Ask for a log.

        Args:
            request: What is read, for errors.
            engine_id: The container.
            follow: Stay until it ends.
            since: Nanoseconds since the epoch; 0: from the start.
            lines: At most so many of the last messages.

        Raises:
            LogsUnavailable: The container, or its log, is gone or cannot be read.
            StreamLost: The engine does not answer.
        """
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        if since:
            query["since"] = f"{since // _NANO}.{since % _NANO:09d}"
        if lines is not None and not self.podman:
            # Podman 4.3 gives nothing where the last line has no end; it reads what is kept.
            query["tail"] = str(lines)
        path = f"/containers/{engine_id}/logs"
        try:
            stream = self._client.stream("GET", path, query=query, timeout=self._timeout)
        except ApiError as error:
            raise _refusal(error, request) from None
        return Messages(stream)


class Messages:
    """The messages of one answer. One thread reads; any thread may close."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._demux = Demultiplexer(stamped=True)

    def some(self) -> list[Message] | None:
        """Wait for the next messages; None at a clean end and after ``close``.

        Raises:
            StreamLost: The connection broke, or what came is no log.
        """
        try:
            while data := self._stream.read1():
                if found := self._demux.feed(data):
                    return found
        except (OSError, Malformed, DaemonTrouble) as error:
            msg = f"the connection to the log broke: {str(error) or type(error).__name__}"
            raise StreamLost(msg) from None
        if not self._demux.whole and not self._stream.closed:
            msg = "the log ended inside a message"
            raise StreamLost(msg)
        return None

    def __iter__(self) -> Iterator[Message]:
        """Go through all messages to the end."""
        while (found := self.some()) is not None:
            yield from found

    def close(self) -> None:
        """End it; a reader that waits wakes up."""
        self._stream.close()


def _refusal(error: ApiError, request: LogsRequest) -> SpawnerError:
    if error.status == _UNREADABLE:
        msg = (
            f"the log of job {request.job_id} cannot be read back: the log driver of the container"
            f" {request.name} does not support it ({error.message})"
        )
        hint = "read it where the driver writes it, or: export SPAWNERY_DOCKER_LOG_DRIVER=json-file"
        return LogsUnavailable(msg, hint=hint, job_id=request.job_id)
    if error.status in _GONE:
        msg = f"the log of job {request.job_id} is gone with its container: {error.message}"
        hint = "keep ended jobs for a while: retention_seconds=900"
        return LogsUnavailable(msg, hint=hint, job_id=request.job_id)
    return in_words(error, f"read the log of {request.name}", job_id=request.job_id)
