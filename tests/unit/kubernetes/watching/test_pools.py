"""No task of a bounded pool waits for another one, with as many at work as there are threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve
from kube_account import runtime_of
from kube_objects import Recorded, recorded
from kube_streams import PATIENCE, Answer, BadServer, Body, hanging
from spawnery.model import JobSeen, Synced, WatchEvent
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.informer.events import Stuck
from spawnery_kubernetes.informer.reflector import Change, Listing, Reflector
from spawnery_kubernetes.jobs.endings import _AT_ONCE, Judge
from spawnery_kubernetes.jobs.sidecars import Sidecars
from spawnery_kubernetes.objects.facts import JobFacts, PodFacts
from spawnery_kubernetes.reading.tails import Tails
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.watching.merge import Feed

CROWD = _AT_ONCE * 4
STREAMS = 64
LOG = b"2026-01-01T00:00:00.000000000Z said\n"


def together(barrier: threading.Barrier, data: bytes = LOG) -> Body:
    """Answer when as many requests are at work as the barrier wants."""

    def answer(to: Answer) -> None:
        barrier.wait(PATIENCE)
        to.begin()
        to.say(data)
        to.end()

    return answer


class Corner:
    """A judge before a server that answers as a test says."""

    def __init__(self, folder: Path, *answers: Body) -> None:
        self.server = BadServer(*answers)
        config = folder / "kubeconfig"
        config.write_text(self.server.kubeconfig())
        settings = KubernetesSettings(kubeconfig=str(config))
        self.runtime = runtime_of(folder, "here")
        self.client = KubeClient(resolve_access(settings, {}))
        self.cache = Cache()
        tails = Tails(self.client, self.runtime)
        sidecars = Sidecars(self.client, self.runtime)
        self.judge = Judge(
            self.client, settings, self.runtime, cache=self.cache, tails=tails, sidecars=sidecars
        )
        self.stuck = Stuck(self.client, timeout=PATIENCE)

    def close(self) -> None:
        """End it."""
        self.server.close()
        self.judge.close()
        self.client.close()


@pytest.fixture
def corner(tmp_path: Path) -> Iterator[Corner]:
    """A judge whose logs come when as many are read as it has threads."""
    barrier = threading.Barrier(_AT_ONCE)
    made = Corner(tmp_path, *(together(barrier) for _ in range(CROWD)))
    yield made
    made.close()


def crowd(name: str, count: int = CROWD) -> list[tuple[JobFacts, PodFacts]]:
    """Return so many Jobs of one kind, with their pods."""
    found: Recorded = recorded(name)
    return [
        (
            evolve(found.job, uid=f"j{number}", name=f"j{number}"),
            evolve(found.pods[0], uid=f"p{number}", name=f"p{number}", job_uid=f"j{number}"),
        )
        for number in range(count)
    ]


def test_ends_that_are_looked_into_at_once(corner: Corner) -> None:
    """Each end has its log, though at each moment all threads of the pool are at work."""
    for job, pod in crowd("exit-three"):
        corner.cache.saw_job(job)
        corner.cache.saw_pod(pod)
    found = corner.judge.all([f"j{number}" for number in range(CROWD)])
    assert [status.outcome.log_tail for status in found if status.outcome] == ["said\n"] * CROWD


def test_jobs_that_go_on_wait_for_no_end(tmp_path: Path) -> None:
    """While every thread waits for a log that does not come, jobs that run are told of."""
    corner = Corner(tmp_path, *(hanging() for _ in range(_AT_ONCE)))
    for job, pod in crowd("exit-three", _AT_ONCE):
        corner.cache.saw_job(job)
        corner.cache.saw_pod(pod)
        corner.judge.workers.submit(lambda uid=job.uid: corner.judge.status(uid))
    until = time.monotonic() + PATIENCE
    while len(corner.server.asked) < _AT_ONCE and time.monotonic() < until:
        time.sleep(0.01)
    waits = recorded("unschedulable")
    for item in (waits.job, *waits.pods):
        if isinstance(item, JobFacts):
            corner.cache.saw_job(item)
        else:
            corner.cache.saw_pod(item)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(corner.judge.all, [waits.job.uid])
        # The judge gives up waiting for a thread after half of its limit of 60 s.
        [status] = told.result(corner.runtime.io_timeout_seconds / 3)
    assert status.cause == "unschedulable"
    corner.close()


class Quiet(Reflector[JobFacts]):
    """Tells of no change."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def follow(self) -> Iterator[Change[JobFacts] | Listing[JobFacts]]:
        """Wait until it is closed."""
        self._over.wait()
        yield from ()

    def close(self) -> None:
        """End it."""
        self._over.set()


def test_a_stream_whose_jobs_end_at_once(corner: Corner) -> None:
    """All ends of a list are told of, with their logs, before it is said that all was told."""
    ended = crowd("exit-three")
    listed = (
        Listing(items=tuple(job for job, _ in ended), version="9"),
        Listing(items=tuple(pod for _, pod in ended), version="9"),
    )
    feed = Feed(
        Quiet(),
        Quiet(),  # type: ignore[arg-type]
        corner.runtime,
        cache=corner.cache,
        judge=corner.judge,
        stuck=corner.stuck,
    )
    told: list[WatchEvent] = []
    over = threading.Event()

    def put(event: WatchEvent) -> bool:
        told.append(event)
        if isinstance(event, Synced):
            over.set()
            feed.close()
        return True

    feed.run(listed, None, put, over)
    ends = [event.status.outcome for event in told if isinstance(event, JobSeen)]
    assert [end.log_tail for end in ends if end is not None] == ["said\n"] * CROWD


def test_calls_while_streams_are_held(tmp_path: Path) -> None:
    """Connections have no limit for which a call would wait: each of many threads that hold a
    stream makes a call beside it."""
    said = threading.Barrier(STREAMS)
    corner = Corner(tmp_path, *(hanging(LOG) for _ in range(STREAMS)))
    answers = [together(said, b"{}") for _ in range(STREAMS)]

    def both(_number: int) -> bytes:
        stream = corner.client.stream("/log", timeout=PATIENCE)
        assert stream.read1() == LOG
        held.wait(PATIENCE)
        try:
            return corner.client.call("GET", "/thing", timeout=PATIENCE).body
        finally:
            stream.close()

    def more() -> None:
        for answer in answers:
            corner.server.add(answer)

    held = threading.Barrier(STREAMS, action=more)
    with ThreadPoolExecutor(STREAMS) as pool:
        assert list(pool.map(both, range(STREAMS))) == [b"{}"] * STREAMS
    corner.close()
