"""Listens to jobs from before their start: the end of each log, and all of it for who follows.

A container that removes itself takes its log along (409 or 404 in 20 of 20 tries on Docker 20.10).
An attached connection that was opened before the start has heard all of it, byte by byte: the log
files have not, json-file replaces bytes that are no UTF-8.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from spawnery.contract import SpawnRequest
from spawnery.errors import SpawnerError
from spawnery.local.masking import Tail
from spawnery.plugin import SpawnerRuntime
from spawnery.secret import Secret
from spawnery_docker.client import DockerClient
from spawnery_docker.demux import DaemonTrouble, Demultiplexer, Malformed
from spawnery_docker.errors import ApiError
from spawnery_docker.logtail import secrets_in, tail_of_log
from spawnery_docker.sockets import Sockets
from spawnery_docker.spool import Spool

_KEPT: Final = 256
"""Ended jobs whose log is remembered when nobody has read it."""
_LAG: Final = 2.0
"""Seconds for which the last of a log may come after the word on the exit."""
_NOT_HEARD: Final = "nobody was listening to it"
_ATTACH: Final = {"stream": "1", "stdout": "1", "stderr": "1", "logs": "0"}
_UPGRADE: Final = {"Connection": "Upgrade", "Upgrade": "tcp"}


class Ear:
    """What is heard of one container.

    Args:
        name: Name of the container.
        tail: Keeps the end of its log.
        spool: Keeps all of it, for who follows; else None.
    """

    def __init__(self, name: str, tail: Tail, spool: Spool | None) -> None:
        self.name = name
        self.tail = tail
        self.spool = spool
        self.ended = threading.Event()
        self.missing: str | None = None
        self._demux = Demultiplexer(stamped=False)
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []

    def hear(self, data: bytes) -> None:
        """Take in a piece of the connection's bytes."""
        try:
            for stream, said in _joined(self._demux.feed(data)):
                self.tail.add(stream, said)
                if self.spool is not None:
                    self.spool.write(stream, said)
        except (Malformed, DaemonTrouble) as error:
            self.missing = f"the engine's stream cannot be read: {error}"
            self.end()

    def end(self) -> None:
        """Nothing more will be heard."""
        with self._lock:
            self.ended.set()
            waiting, self._waiting = self._waiting, []
        if self.spool is not None:
            self.spool.end()
        for call in waiting:
            call()

    def when_ended(self, call: Callable[[], None]) -> bool:
        """Call it when nothing more will be heard; False when that is so already."""
        with self._lock:
            if self.ended.is_set():
                return False
            self._waiting.append(call)
            return True

    def text(self) -> tuple[str | None, str]:
        """Return the end of the log and, where there is none, the reason."""
        if self.missing is not None:
            return None, self.missing
        return self.tail.text(), ""


class Tails:
    """Ears by container.

    Args:
        client: The engine.
        sockets: Reads the attached connections.
        runtime: The host.
        keep: Whether the ends of logs are listened to (setting ``docker.keep_tail``).
    """

    def __init__(
        self, client: DockerClient, sockets: Sockets, runtime: SpawnerRuntime, *, keep: bool
    ) -> None:
        self._client = client
        self._sockets = sockets
        self._runtime = runtime
        self._keep = keep
        self._lock = threading.Lock()
        self._ears: collections.OrderedDict[str, Ear] = collections.OrderedDict()

    def attach(self, engine_id: str, request: SpawnRequest) -> Callable[[], None]:
        """Listen to a container that was not started yet, where there is a reason to.

        A job that is kept needs no ear unless it is followed: its log can be read afterwards. A
        failure to listen is remembered as the reason for a missing tail; it stops nothing.

        Returns:
            Call it when the start has failed.
        """
        tail = self._keep and request.tail_bytes and request.retention_seconds == 0
        if not (tail or request.follow):
            return lambda: None
        values = [v.reveal().encode() for v in request.secrets.values() if isinstance(v, Secret)]
        folder = self._runtime.state_dir / "docker"
        ear = Ear(
            request.name,
            Tail(request.tail_bytes if self._keep else 0, values),
            Spool(folder) if request.follow else None,
        )
        try:
            exchange = self._client.hold(
                f"/containers/{engine_id}/attach",
                query=_ATTACH,
                headers=_UPGRADE,
                timeout=request.deadline.remaining(),
            )
        except (ApiError, SpawnerError) as error:
            ear.missing = f"the engine does not let us listen to it: {error.args[0]}"
            ear.spool = None
            ear.end()
            self._add(engine_id, ear)
            return lambda: None
        self._add(engine_id, ear)
        if exchange.rest:
            ear.hear(exchange.rest)
        self._sockets.add(exchange.sock, ear.hear, ear.end)

        def undo() -> None:
            self._sockets.drop(exchange.sock)
            ear.end()
            self.forget(engine_id)

        return undo

    def _add(self, engine_id: str, ear: Ear) -> None:
        with self._lock:
            self._ears[engine_id] = ear
            ended = [key for key, ear in self._ears.items() if ear.ended.is_set()]
        for key in ended[: max(0, len(ended) - _KEPT)]:
            self.forget(key)

    def heard(self, engine_id: str) -> tuple[str | None, str]:
        """Return what was heard of the end of a log, without waiting, and why nothing."""
        with self._lock:
            ear = self._ears.get(engine_id)
        if not self._keep:
            return None, "it is not kept (setting docker.keep_tail)"
        return (None, _NOT_HEARD) if ear is None else ear.text()

    def complete(self, engine_id: str, call: Callable[[], None]) -> None:
        """Call it when all of a log was heard; to be used when the engine told of the exit.

        What a connection still holds comes within milliseconds; after two seconds it is given up.
        """
        with self._lock:
            ear = self._ears.get(engine_id)
        once = _Once(call)
        if ear is None or not ear.when_ended(once):
            once()
        else:
            timer = threading.Timer(_LAG, once)
            timer.daemon = True
            ear.when_ended(timer.cancel)
            timer.start()
        if ear is not None and ear.spool is not None:
            ear.spool.saw_exit()

    def of(self, shown: Mapping[str, Any], tail_bytes: int | None) -> tuple[str | None, str]:
        """Return the end of the log of a container that has ended, and why there is none.

        Args:
            shown: The reply of its inspect.
            tail_bytes: How much of it.
        """
        engine_id = shown["Id"]
        with self._lock:
            ear = self._ears.get(engine_id)
        if ear is not None and ear.missing is None and self._keep:
            ear.ended.wait(_LAG)
            return ear.text()
        if not self._keep or shown["HostConfig"].get("AutoRemove"):
            return self.heard(engine_id)
        size = self._runtime_tail if tail_bytes is None else tail_bytes
        tail = Tail(size, secrets_in(shown["Config"]))
        timeout = self._runtime.io_timeout_seconds
        return tail_of_log(self._client, engine_id, tail, size, timeout=timeout)

    _runtime_tail: Final = 8192
    """How much is read of a job that another process spawned."""

    def spool(self, name: str) -> Spool | None:
        """Return the whole log of the last container of this name, where we keep it."""
        with self._lock:
            found = [ear.spool for ear in self._ears.values() if ear.name == name]
        return found[-1] if found else None

    def forget(self, engine_id: str) -> None:
        """Drop what was heard of a container."""
        with self._lock:
            ear = self._ears.pop(engine_id, None)
        if ear is not None and ear.spool is not None:
            ear.spool.close()

    def close(self) -> None:
        """Forget everything; whoever reads comes to an end."""
        with self._lock:
            known = list(self._ears)
        for engine_id in known:
            self.forget(engine_id)


class _Once:
    """A call that happens once, whoever comes first."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            call, self._call = self._call, None
        if call is not None:
            call()


def _joined(messages: Iterable[tuple[int, int, bytes]]) -> Iterable[tuple[int, bytes]]:
    """Join neighbours of the same stream."""
    joined: list[tuple[int, list[bytes]]] = []
    for stream, _, data in messages:
        if joined and joined[-1][0] == stream:
            joined[-1][1].append(data)
        else:
            joined.append((stream, [data]))
    return [(stream, b"".join(parts)) for stream, parts in joined]
