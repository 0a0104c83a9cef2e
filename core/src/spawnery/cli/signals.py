"""Ctrl-C while a job is followed: stop it, then kill it, then leave."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from spawnery.errors import JobNotFound, SpawnerError

if TYPE_CHECKING:
    from spawnery.cli.app import App
    from spawnery.spawner import Spawner

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_KILL: Final = 2


class StopOnSignal:
    """While entered, signals end the job: the first with its grace, the second at once.

    The third leaves the job to itself (``KeyboardInterrupt``), for an engine that does not answer.
    A signal that was ignored when we began (``nohup``, a shell's background job) stays ignored.
    The stops run in threads: a handler must not block, and the log goes on meanwhile.
    """

    def __init__(self, app: App, spawner: Spawner, job_id: str) -> None:
        self._app = app
        self._spawner = spawner
        self._job_id = job_id
        self._count = 0
        self._spawned = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def spawned(self) -> None:
        """Tell that the job is there now: a stop that came too early to find it is repeated."""
        self._spawned.set()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Stop the job from a thread of its own."""
        self._start(lambda: self._stop(grace_seconds))

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > _KILL:
            raise KeyboardInterrupt
        self._start(self._kill if self._count == _KILL else self._ask)

    def _ask(self) -> None:
        self._app.talk(f"stopping {self._job_id} (again: kill it)")
        self._stop(None)

    def _kill(self) -> None:
        self._app.talk(f"killing {self._job_id} (again: leave it alone)")
        self._stop(0.0)

    def _stop(self, grace_seconds: float | None) -> None:
        try:
            try:
                self._spawner.stop(self._job_id, grace_seconds=grace_seconds)
            except JobNotFound:
                self._spawned.wait()
                self._spawner.stop(self._job_id, grace_seconds=grace_seconds)
        except SpawnerError as error:
            if error.cause == "spawner.closed":
                return  # the command has ended meanwhile, and has said how
            self._app.warn(f"{self._job_id} could not be stopped: {error}")

    def _start(self, run: Callable[[], None]) -> None:
        threading.Thread(target=run, name="spawnery-stop", daemon=True).start()
