"""Listens to jobs whose log goes with them, from before their start.

A container that removes itself takes its log along (409 or 404 in 20 of 20 tries on Docker 20.10).
So the end of its log, for the outcome of a failed job, and all of it for a caller who follows the
job are heard over an attached connection. The removal is not deferred for a follower: a caller that
is killed leaves nothing behind, and what is attached has every byte, while json-file replaces bytes
that are no UTF-8. Of a container that stays the log is read when it is needed.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from spawnery.contract import SpawnerRuntime, SpawnRequest
from spawnery.errors import SpawnerError
from spawnery.model import Secret
from spawnery.toolkit import Tail

from spawnery_docker.cache import TAIL_BYTES
from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.output.attached import AttachedLog
from spawnery_docker.output.follow_buffer import FollowBuffer
from spawnery_docker.output.kept_tail import secrets_in, tail_of_log
from spawnery_docker.reach.sockets import Sockets
from spawnery_docker.status import NEVER_RAN, NOT_HEARD, moment

_BUFFERS: Final = 64
"""Whole logs that are kept of ended jobs until somebody reads them."""
_SILENT: Final = 256
"""Ends of logs that are kept of ended jobs whose removal nobody has told us."""
_ATTACH: Final = {"stream": "1", "stdout": "1", "stderr": "1", "logs": "0"}
_UPGRADE: Final = {"Connection": "Upgrade", "Upgrade": "tcp"}


class Tails:
    """Attached logs by container, and whole logs by name.

    Args:
        client: The engine.
        sockets: Reads the attached connections.
        runtime: The host.
        keep: Whether ends of logs are kept at all (setting ``docker.keep_tail``).
    """

    def __init__(
        self, client: DockerClient, sockets: Sockets, runtime: SpawnerRuntime, *, keep: bool
    ) -> None:
        self._client = client
        self._sockets = sockets
        self._runtime = runtime
        self._keep = keep
        self._lock = threading.Lock()
        self._attached: dict[str, AttachedLog] = {}
        self._buffers: collections.OrderedDict[str, FollowBuffer] = collections.OrderedDict()

    def attach(self, engine_id: str, request: SpawnRequest) -> Callable[[], None]:
        """Listen to a container that is not started yet, where there is a reason to.

        Where the engine does not let us (a proxy that allows no attach), the job runs all the same
        and the reason stands where the tail would be.

        Returns:
            Call it when the start has failed.
        """
        limit = request.tail_bytes if self._keep else 0
        if request.retention_seconds or not (limit or request.follow):
            return _nothing
        values = [v.reveal().encode() for v in request.secrets.values() if isinstance(v, Secret)]
        buffer = self._buffer(engine_id) if request.follow else None
        attached = AttachedLog(request.name, Tail(limit, values), buffer)
        path, timeout = f"/containers/{engine_id}/attach", request.deadline.remaining()
        try:
            exchange = self._client.hold(path, query=_ATTACH, headers=_UPGRADE, timeout=timeout)
        except ApiError as error:
            attached.fail(f"the engine does not let us listen to it: {error.message}")
            self._note(engine_id, attached, buffer=None)
            return _nothing
        except SpawnerError as error:
            attached.fail(f"the engine could not be listened to: {error.message}")
            self._note(engine_id, attached, buffer=None)
            return _nothing
        self._note(engine_id, attached, buffer)
        self._sockets.add(exchange.sock, attached.hear, attached.end, first=exchange.rest)

        def give_up() -> None:
            self._sockets.drop(exchange.sock)
            attached.end()
            self.forget(engine_id)
            self._close(request.name, buffer)

        return give_up

    def _buffer(self, engine_id: str) -> FollowBuffer:
        folder = self._runtime.state_dir / "docker"
        return FollowBuffer(folder, engine_id, self._runtime.engine_clock.best_guess)

    def _note(self, engine_id: str, attached: AttachedLog, buffer: FollowBuffer | None) -> None:
        with self._lock:
            silent = [known for known, other in self._attached.items() if other.ended.is_set()]
            for known in silent[: max(0, len(silent) - _SILENT)]:
                del self._attached[known]
            self._attached[engine_id] = attached
            before = self._buffers.pop(attached.name, None)
            if buffer is not None:
                self._buffers[attached.name] = buffer
            over = [name for name, known in self._buffers.items() if known.over]
            dropped = [self._buffers.pop(name) for name in over[: max(0, len(over) - _BUFFERS)]]
        for old in (*dropped, before):
            if old is not None:
                old.close()

    def _close(self, name: str, buffer: FollowBuffer | None) -> None:
        with self._lock:
            if buffer is not None and self._buffers.get(name) is buffer:
                del self._buffers[name]
        if buffer is not None:
            buffer.close()

    # -- what was heard ----------------------------------------------------------------------

    def listens(self, engine_id: str) -> bool:
        """Tell whether a container is listened to."""
        with self._lock:
            return engine_id in self._attached

    def saw_exit(self, engine_id: str) -> None:
        """Take in that the engine told how a job ended: the end of its stream is that of its log.

        The stream also ends when the daemon dies or a proxy cuts it, and looks the same then.
        """
        with self._lock:
            attached = self._attached.get(engine_id)
        if attached is not None and attached.buffer is not None:
            attached.buffer.saw_exit()

    def heard(self, engine_id: str) -> tuple[str | None, str]:
        """Return the end of the log of a container that has just ended.

        Returns:
            The text and an empty reason, or None and why there is none.
        """
        if not self._keep:
            return None, "ends of logs are not kept (SPAWNERY_DOCKER_KEEP_TAIL)"
        with self._lock:
            attached = self._attached.get(engine_id)
        return (None, NOT_HEARD) if attached is None else attached.text()

    def of(self, shown: Mapping[str, Any], limit: int | None) -> tuple[str | None, str]:
        """Return the end of the log of a container that has ended and is still there.

        Args:
            shown: Reply of its inspect.
            limit: How many bytes; the default where None.
        """
        state = shown["State"]
        if state.get("Error") and moment(state.get("StartedAt")) is None:
            return None, NEVER_RAN
        text, reason = self.heard(shown["Id"])
        if text is not None or not self._keep or shown["HostConfig"].get("AutoRemove"):
            return text, reason
        tail = Tail(TAIL_BYTES if limit is None else limit, secrets_in(shown["Config"]))
        timeout = self._runtime.io_timeout_seconds
        return tail_of_log(self._client, shown["Id"], tail, timeout=timeout)

    def buffer(self, name: str) -> FollowBuffer | None:
        """Return the whole log of the last container of this name, where it is kept here."""
        with self._lock:
            return self._buffers.get(name)

    def forget(self, engine_id: str) -> None:
        """Let go of the end of a container's log; a whole one stays for who follows."""
        with self._lock:
            self._attached.pop(engine_id, None)

    def close(self) -> None:
        """Let go of everything; whoever reads comes to an end."""
        with self._lock:
            buffers = list(self._buffers.values())
            self._buffers.clear()
            self._attached.clear()
        for buffer in buffers:
            buffer.close()


def _nothing() -> None:
    """Stand in where nothing is listened to."""
