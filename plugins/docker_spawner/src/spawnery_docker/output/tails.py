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

from spawnery.contract import SpawnRequest
from spawnery.errors import SpawnerError
from spawnery.local.masking import Tail
from spawnery.plugin import SpawnerRuntime
from spawnery.secret import Secret

from spawnery_docker.cache import TAIL_BYTES
from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.output.attached import Ear
from spawnery_docker.output.follow_buffer import Spool
from spawnery_docker.output.kept_tail import secrets_in, tail_of_log
from spawnery_docker.reach.sockets import Sockets
from spawnery_docker.status import NEVER_RAN, NOT_HEARD, moment

_SPOOLS: Final = 64
"""Whole logs that are kept of ended jobs until somebody reads them."""
_SILENT: Final = 256
"""Ends of logs that are kept of ended jobs whose removal nobody has told us."""
_ATTACH: Final = {"stream": "1", "stdout": "1", "stderr": "1", "logs": "0"}
_UPGRADE: Final = {"Connection": "Upgrade", "Upgrade": "tcp"}


class Tails:
    """Ears by container, and whole logs by name.

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
        self._ears: dict[str, Ear] = {}
        self._spools: collections.OrderedDict[str, Spool] = collections.OrderedDict()

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
        spool = self._spool(engine_id) if request.follow else None
        ear = Ear(request.name, Tail(limit, values), spool)
        path, timeout = f"/containers/{engine_id}/attach", request.deadline.remaining()
        try:
            exchange = self._client.hold(path, query=_ATTACH, headers=_UPGRADE, timeout=timeout)
        except ApiError as error:
            ear.fail(f"the engine does not let us listen to it: {error.message}")
            self._note(engine_id, ear, spool=None)
            return _nothing
        except SpawnerError as error:
            ear.fail(f"the engine could not be listened to: {error.message}")
            self._note(engine_id, ear, spool=None)
            return _nothing
        self._note(engine_id, ear, spool)
        self._sockets.add(exchange.sock, ear.hear, ear.end, first=exchange.rest)

        def give_up() -> None:
            self._sockets.drop(exchange.sock)
            ear.end()
            self.forget(engine_id)
            self._close(request.name, spool)

        return give_up

    def _spool(self, engine_id: str) -> Spool:
        folder = self._runtime.state_dir / "docker"
        return Spool(folder, engine_id, self._runtime.engine_clock.best_guess)

    def _note(self, engine_id: str, ear: Ear, spool: Spool | None) -> None:
        with self._lock:
            silent = [known for known, other in self._ears.items() if other.ended.is_set()]
            for known in silent[: max(0, len(silent) - _SILENT)]:
                del self._ears[known]
            self._ears[engine_id] = ear
            before = self._spools.pop(ear.name, None)
            if spool is not None:
                self._spools[ear.name] = spool
            over = [name for name, known in self._spools.items() if known.over]
            dropped = [self._spools.pop(name) for name in over[: max(0, len(over) - _SPOOLS)]]
        for old in (*dropped, before):
            if old is not None:
                old.close()

    def _close(self, name: str, spool: Spool | None) -> None:
        with self._lock:
            if spool is not None and self._spools.get(name) is spool:
                del self._spools[name]
        if spool is not None:
            spool.close()

    # -- what was heard ----------------------------------------------------------------------

    def listens(self, engine_id: str) -> bool:
        """Tell whether a container is listened to."""
        with self._lock:
            return engine_id in self._ears

    def saw_exit(self, engine_id: str) -> None:
        """Take in that the engine told how a job ended: the end of its stream is that of its log.

        The stream also ends when the daemon dies or a proxy cuts it, and looks the same then.
        """
        with self._lock:
            ear = self._ears.get(engine_id)
        if ear is not None and ear.spool is not None:
            ear.spool.saw_exit()

    def heard(self, engine_id: str) -> tuple[str | None, str]:
        """Return the end of the log of a container that has just ended.

        Returns:
            The text and an empty reason, or None and why there is none.
        """
        if not self._keep:
            return None, "ends of logs are not kept (SPAWNERY_DOCKER_KEEP_TAIL)"
        with self._lock:
            ear = self._ears.get(engine_id)
        return (None, NOT_HEARD) if ear is None else ear.text()

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

    def spool(self, name: str) -> Spool | None:
        """Return the whole log of the last container of this name, where it is kept here."""
        with self._lock:
            return self._spools.get(name)

    def forget(self, engine_id: str) -> None:
        """Let go of the end of a container's log; a whole one stays for who follows."""
        with self._lock:
            self._ears.pop(engine_id, None)

    def close(self) -> None:
        """Let go of everything; whoever reads comes to an end."""
        with self._lock:
            spools = list(self._spools.values())
            self._spools.clear()
            self._ears.clear()
        for spool in spools:
            spool.close()


def _nothing() -> None:
    """Stand in where nothing is listened to."""
