"""Callers killed at the requests of their ``spawn``, from outside, through the fault port.

It needs no more of a bench than a port that other processes go through as well (a
``TransportProxy``, with ``faults_shared = True``): neither fault points nor a client that the
interpreter can watch.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spawnery.testing import caller
from spawnery.testing.sweep import spread

if TYPE_CHECKING:
    import subprocess

    from spawnery.model.job import JobSpec
    from spawnery.testing.bench import Bench
    from spawnery.testing.faults import FaultPort, Seen

_LIMIT: Final = 120.0


class Moment(enum.Enum):
    """When, around a request, its caller is killed."""

    UNSENT = "before the request reached the engine"
    SENT = "before the reply, with the request on its way to the engine"
    REPLIED = "after the engine acted, before the reply arrived"


@frozen(kw_only=True)
class Struck:
    """A job whose caller was killed at a request.

    Attributes:
        spec: The job.
        where: The request and the moment, for messages.
    """

    spec: JobSpec
    where: str


def sweep_requests(bench: Bench, port: FaultPort, *, name: str, **fields: Any) -> Iterator[Struck]:
    """Spawn jobs in callers that are killed, one at each request and moment.

    Tidy up each job before you ask for the next: what is left would be looked after by the next
    caller, whose requests are counted. One with fewer requests dies when its spawn is done.

    Args:
        bench: The engine.
        port: The bench's fault port; nothing else may use it meanwhile.
        name: Beginning of the job ids.
        fields: Further fields of the specs.

    Yields:
        The jobs, in the order of the requests; at most ``bench.crash_steps`` for each moment.
    """
    before = port.count()
    whole = _spec(bench, f"{name}-whole", fields)
    caller.call(bench, caller.plain(whole), "spawn", "die")
    requests = port.count() - before
    assert requests, "no request of another process came through the fault port"
    yield Struck(spec=whole, where="killed after its spawn")
    for moment in Moment:
        for number in spread(requests, bench.crash_steps):
            spec = _spec(bench, f"{name}-{moment.name.lower()}-{number}", fields)
            yield Struck(spec=spec, where=_strike(bench, port, spec, number, moment))


def _spec(bench: Bench, job_id: str, fields: dict[str, Any]) -> JobSpec:
    return bench.spec(bench.counted(job_id), job_id=job_id, **fields)


def _strike(bench: Bench, port: FaultPort, spec: JobSpec, number: int, moment: Moment) -> str:
    """Let a caller spawn a job, and kill it at its nth request; returns where that was."""
    killer = _Killer(number, moment)
    if moment is Moment.REPLIED:
        port.on_response = killer
    else:
        port.on_request = killer
    try:
        # Killed by us, or by its own "die": -9 either way.
        caller.finish(killer.watch(caller.start(bench, caller.plain(spec), "spawn", "die")),
                      killed=True)  # fmt: skip
    finally:
        port.on_request = port.on_response = None
    at = f"request {number}" if killer.at is None else f"{killer.at.method} {killer.at.path}"
    return f"killed {moment.value}: {at}"


class _Killer:
    """A hook of the port that kills the caller at one of its requests."""

    def __init__(self, number: int, moment: Moment) -> None:
        self.at: Seen | None = None
        self._left = number
        self._moment = moment
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    def watch(self, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        """Say whom to kill."""
        self._process = process
        self._known.set()
        return process

    def __call__(self, seen: Seen) -> None:
        """Count a request, and kill the caller when its turn has come."""
        with self._lock:
            self._left -= 1
            if self._left != 0:
                return
            self.at = seen
        assert self._known.wait(_LIMIT)
        assert self._process is not None
        self._process.kill()
        self._process.wait(_LIMIT)
        if self._moment is Moment.UNSENT:
            msg = "the caller is dead: its request goes nowhere"
            raise ConnectionAbortedError(msg)
