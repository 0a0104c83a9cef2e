"""One stream of events for all jobs, and the list that is the truth where it breaks."""

from __future__ import annotations

import json
import re
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from docker_case import PATIENCE, DockerCase, eventually, running, sh
from spawnery.contract import LABEL_INSTANCE
from spawnery.model import JobState
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")

EVENTS, LIST = r"/events\?", r"/containers/json\?"
ON_COMMAND = "until [ -e /tmp/go ]; do sleep 0.1; done; exit"


def asked(proxy: TransportProxy) -> list[dict[str, list[str]]]:
    """Return the parameters of each request for events."""
    targets = [seen.path for seen in proxy.seen() if re.search(EVENTS, seen.path)]
    return [parse_qs(urlsplit(target).query) for target in targets]


def let_go(case: DockerCase, job_id: str) -> None:
    """Let a job end that waits for it."""
    case.docker("exec", f"{case.prefix}-{job_id}", "touch", "/tmp/go")


def test_the_engine_sends_only_what_is_ours(led: DockerCase, proxy: TransportProxy) -> None:
    """Events are filtered by the engine: containers with our label, from before the stream on."""
    with led.open() as spawner:
        spawner.wait(spawner.spawn(sh("true")).job_id, PATIENCE)
    (query,) = asked(proxy)
    filters = json.loads(query["filters"][0])
    assert filters["type"] == ["container"]
    assert filters["label"] == [f"{LABEL_INSTANCE}={led.instance}"]
    assert float(query["since"][0]) > 0


def test_the_list_is_taken_from_time_to_time(led: DockerCase, proxy: TransportProxy) -> None:
    """Also while the stream of events goes on."""
    with led.open(SPAWNERY_RELIST_SECONDS="1") as spawner:
        running(spawner, spawner.spawn(sh("sleep 600")).job_id)
        eventually(lambda: proxy.count("GET", LIST) > 3)
        assert len(asked(proxy)) == 1


def test_the_list_is_taken_after_each_break(led: DockerCase, proxy: TransportProxy) -> None:
    """A stream that broke is opened again where it was, and the list taken once more."""
    with led.open(SPAWNERY_RELIST_SECONDS="600") as spawner:
        job = spawner.spawn(sh("sleep 600")).job_id
        running(spawner, job)
        for number in (2, 3):
            lists = proxy.count("GET", LIST)
            proxy.cut_all()
            eventually(lambda number=number: len(asked(proxy)) == number)
            eventually(lambda lists=lists: proxy.count("GET", LIST) > lists)
        assert spawner.status(job).state is JobState.RUNNING
    first, *later = (query["since"][0] for query in asked(proxy))
    assert all(float(since) > float(first) for since in later), "not the time of the last event"


def test_what_happened_while_the_stream_was_broken(led: DockerCase, proxy: TransportProxy) -> None:
    """Wait and events are cut, the job ends and removes itself: events of then tell its code."""
    ended = threading.Event()
    with led.open(SPAWNERY_RELIST_SECONDS="600", SPAWNERY_SETTLE_SECONDS="60") as spawner:
        job = spawner.spawn(sh(f"{ON_COMMAND} 9")).job_id
        running(spawner, job)
        proxy.on_request = lambda seen: re.search(EVENTS, seen.path) and ended.wait(PATIENCE)
        proxy.cut_all()
        let_go(led, job)
        eventually(lambda: not led.containers())
        ended.set()
        outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 9)


def test_a_wait_that_was_cut_says_nothing(led: DockerCase, proxy: TransportProxy) -> None:
    """A proxy that cuts idle connections ends no job: the code comes when the job ends."""
    with led.open() as spawner:
        job = spawner.spawn(sh(f"{ON_COMMAND} 0")).job_id
        running(spawner, job)
        proxy.cut_all()
        eventually(lambda: len(asked(proxy)) == 2)
        assert spawner.status(job).state is JobState.RUNNING
        let_go(led, job)
        assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED


def ours() -> list[str]:
    """Name the threads of the Docker spawner."""
    names = (thread.name for thread in threading.enumerate())
    return sorted(name for name in names if name.startswith("spawnery-docker"))


def test_one_thread_waits_for_all_jobs(case: DockerCase) -> None:
    """Thirty live jobs need no thread more than one; each code is the right one."""
    with case.open() as spawner:
        running(spawner, spawner.spawn(sh("sleep 600")).job_id)
        before = ours()
        codes = {spawner.spawn(sh(f"{ON_COMMAND} {n}")).job_id: n for n in range(30)}
        for job in codes:
            running(spawner, job)
        assert ours() == before
        assert len(before) == 2, before
        for job in codes:
            let_go(case, job)
        assert {job: spawner.wait(job, PATIENCE).exit_code for job in codes} == codes
