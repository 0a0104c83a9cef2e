"""The one stream of changes: a loop on the host prints all jobs whenever something changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from spawnery.contract import Deadline, JobStream, ThreadedStream
from spawnery.errors import EngineTimeout, StreamLost
from spawnery.model import JobGone, JobSeen, JobStatus, Synced, WatchEvent

from .client import Connection, script
from .jobs import Jobs

BEAT_SECONDS: Final = 5.0
"""How often the host says that it is still there when nothing changes."""
SILENCE_SECONDS: Final = 60.0
"""After so long without a word the connection counts as broken."""


def beats(poll_seconds: float) -> str:
    """Return after how many looks without news the host is to say something."""
    return str(max(1, int(BEAT_SECONDS / poll_seconds)))


def watch(jobs: Jobs) -> JobStream[WatchEvent]:
    """Open the stream."""
    pause = jobs.settings.poll_seconds
    arguments = (*jobs.home, str(pause), beats(pause))
    deadline = Deadline.after(jobs.runtime.io_timeout_seconds)
    text = script("list", "watch", arguments=arguments)
    sent = time.monotonic()
    connection = jobs.client.open(text, deadline)

    def produce(put: Callable[[WatchEvent], bool], closed: threading.Event) -> None:
        try:
            known: dict[str, JobStatus] | None = None
            while not closed.is_set():
                found = jobs.statuses(_answer(connection), sent=sent if known is None else None)
                now = {status.job_id: status for status in found}
                if not all(put(event) for event in changes(known, now)):
                    return
                known = now
        finally:
            connection.close()

    start = jobs.runtime.start_thread
    return ThreadedStream(
        produce, interrupt=connection.interrupt, start=start, name="spawnery-watch"
    )


def _answer(connection: Connection) -> Iterator[str]:
    """Read up to the end of one list."""
    while True:
        try:
            line = connection.line(Deadline.after(SILENCE_SECONDS))
        except (EOFError, EngineTimeout, OSError):
            msg = "the connection to the host broke"
            raise StreamLost(msg) from None
        if line != "beat":
            yield line
        if line.startswith("now "):
            return


def changes(before: dict[str, JobStatus] | None, now: dict[str, JobStatus]) -> Iterator[WatchEvent]:
    """Tell what changed between two lists; before the first one nothing is known."""
    yield from gone(before or {}, now)
    for job_id, status in now.items():
        if before is None or before.get(job_id) != status:
            yield JobSeen(status=status)
    if before is None:
        yield Synced()


def gone(before: dict[str, JobStatus], now: dict[str, JobStatus]) -> Iterator[WatchEvent]:
    """Tell which objects are no longer there; another one may have the name by now."""
    for job_id, status in before.items():
        if job_id not in now or now[job_id].engine_id != status.engine_id:
            yield JobGone(job_id=job_id, engine_id=status.engine_id, record_id=status.record_id)
