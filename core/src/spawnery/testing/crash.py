"""Kills callers in the middle of ``spawn``: ``python -m spawnery.testing.crash REQUEST``.

REQUEST is JSON: ``{"plugin": ..., "jobs": [{"spec": {...}, "kill_at": 7 or null}, ...]}``. For each
job a process is forked that spawns it and kills itself (SIGKILL) at that step; with null it lives
and the number of its steps is printed. A step is whatever can be seen from outside: a file opened
for writing, a rename, a lock, a process, a connection, a write to the records.
"""

from __future__ import annotations

import collections
import functools
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from spawnery.testing.caller import open_spawner, spec_of

if TYPE_CHECKING:
    from spawnery.spawner import Spawner

_EVENTS: Final = frozenset(
    {
        "fcntl.flock",
        "fcntl.lockf",
        "http.client.send",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "socket.connect",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    }
)
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_RECORD_WRITES: Final = ("begin", "created", "withdraw", "kill", "finish", "release")
_AT_ONCE: Final = 4


class Steps:
    """Counts steps, and kills this process at one of them.

    Args:
        kill_at: The step, from 1; None counts only.
    """

    def __init__(self, kill_at: int | None) -> None:
        self.taken = 0
        self._kill_at = kill_at
        self._on = False
        self._lock = threading.Lock()

    def install(self, spawner: Spawner) -> None:
        """Count what the interpreter reports, and each write to the records before and after."""
        for name in _RECORD_WRITES:
            method = getattr(spawner.records, name)
            setattr(spawner.records, name, functools.partial(self._around, method))
        sys.addaudithook(self._audit)

    def count(self, act: Callable[[], object]) -> None:
        """Count the steps of one call."""
        self._on = True
        try:
            act()
        finally:
            self._on = False

    def _around(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self._step()
        result = method(*given, **named)
        self._step()
        return result

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in _EVENTS or (event == "open" and _opens_for_writing(args)):
            self._step()

    def _step(self) -> None:
        if not self._on:
            return
        with self._lock:
            self.taken += 1
            if self.taken == self._kill_at:
                self._on = False  # the kill is an audit event as well, and we hold the lock
                os.kill(os.getpid(), signal.SIGKILL)


def _opens_for_writing(args: tuple[Any, ...]) -> bool:
    return isinstance(args[2], int) and bool(args[2] & _WRITES)


def _one(plugin: str | None, job: Mapping[str, Any]) -> None:
    """Be the caller: spawn, and die at the step."""
    steps = Steps(job["kill_at"])
    with open_spawner(plugin) as spawner:
        steps.install(spawner)
        steps.count(lambda: spawner.spawn(spec_of(job["spec"])))
    os.write(1, f"{json.dumps({'job_id': job['spec']['job_id'], 'steps': steps.taken})}\n".encode())


def _forked(plugin: str | None, job: Mapping[str, Any]) -> int:
    """Fork a caller; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _one(plugin, job)
        code = 0
    except BaseException:  # noqa: BLE001 - a forked child must not return into its parent's stack
        traceback.print_exc()
    finally:
        os._exit(code)


def _waited(running: collections.deque[int]) -> Iterator[int]:
    _, status = os.waitpid(running.popleft(), 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in {0, -signal.SIGKILL}:
        yield code


def main(arguments: Sequence[str]) -> int:
    """Run all callers, some at a time; exit code 1 when one failed otherwise than by its kill."""
    request = json.loads(arguments[0])
    _import_all(request["plugin"])
    running: collections.deque[int] = collections.deque()
    failed: list[int] = []
    for job in request["jobs"]:
        if len(running) == _AT_ONCE:
            failed += _waited(running)
        running.append(_forked(request["plugin"], job))
    while running:
        failed += _waited(running)
    return int(bool(failed))


def _import_all(plugin: str | None) -> None:
    """Import before the forks what each of them would."""
    if plugin is not None:
        from spawnery.testing.bench import load_plugin  # noqa: PLC0415 - only here

        load_plugin(plugin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
