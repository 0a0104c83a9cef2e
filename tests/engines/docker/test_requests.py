"""What a spawn asks of the engine: counted, since each request is time and load."""

from __future__ import annotations

import re
import threading

import pytest
from docker_case import PATIENCE, DockerCase, sh
from spawnery.model import JobSpec, JobState
from spawnery.spawner import Spawner
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy
from spawnery_docker.reach import transport

pytestmark = pytest.mark.engine("docker")

_ID = re.compile(r"/[0-9a-f]{64}(?=/|$)")
_CONTAINER = re.compile(r"/containers/([^/?]+)")
_WATCHING = re.compile(r"^GET (/_ping|/events|/containers/json)$")
"""The watch's own, at its opening and every relist_seconds."""


def short(seen: Seen) -> str:
    """Return a request without version, query and container id."""
    path = re.sub(r"^/v1\.\d+", "", seen.path.partition("?")[0])
    return f"{seen.method} {_ID.sub('/ID', path)}"


def warm(spawner: Spawner) -> None:
    """Let the watch open, and the image and the network be known."""
    # The end of the second job is told by the watch when it is past its first list.
    for _ in range(2):
        spawner.wait(spawner.spawn(sh("true")).job_id, PATIENCE)


def asked_by(spawner: Spawner, proxy: TransportProxy, spec: JobSpec) -> list[str]:
    """Spawn; returns what was asked of the engine meanwhile.

    The watch's own and what is about containers of other jobs (which are tidied up after their
    end) is left out.
    """
    before = len(proxy.seen())
    handle = spawner.spawn(spec)
    requests = proxy.seen()[before:]
    assert handle.created
    found = []
    for seen in requests:
        about = _CONTAINER.search(seen.path)
        mine = about is None or about[1] in {"create", "json", handle.engine_id, handle.name}
        if mine and not _WATCHING.match(short(seen)):
            found.append(short(seen))
    return found


LIST = "GET /containers/json"
LOOK = "GET /images/spawnery-test/busybox:1/json"
CREATE, START = "POST /containers/create", "POST /containers/ID/start"
ATTACH, WAIT = "POST /containers/ID/attach", "POST /containers/ID/wait"


def test_a_job_that_removes_itself(led: DockerCase, proxy: TransportProxy) -> None:
    """Image, create, attach for the tail, wait for the code, start: nothing else is asked."""
    with led.open() as spawner:
        warm(spawner)
        for _ in range(3):
            spec = sh("sleep 600")
            assert asked_by(spawner, proxy, spec) == [LOOK, CREATE, ATTACH, WAIT, START]
            spawner.remove(spec.job_id, force=True)


def test_without_a_tail_nobody_attaches(led: DockerCase, proxy: TransportProxy) -> None:
    """Where no tail is kept the attach is left out."""
    with led.open(SPAWNERY_DOCKER_KEEP_TAIL="false") as spawner:
        warm(spawner)
        assert asked_by(spawner, proxy, sh("sleep 600")) == [LOOK, CREATE, WAIT, START]
    with led.open(SPAWNERY_TAIL_BYTES="0") as spawner:
        warm(spawner)
        assert asked_by(spawner, proxy, sh("sleep 600")) == [LOOK, CREATE, WAIT, START]


def test_a_job_that_is_kept(led: DockerCase, proxy: TransportProxy) -> None:
    """A retained container keeps its log and its code: create and start are all."""
    with led.open() as spawner:
        warm(spawner)
        spec = sh("sleep 600", retention_seconds=600)
        assert asked_by(spawner, proxy, spec) == [LOOK, CREATE, START]


def test_a_fresh_process_asks_once_for_the_image(led: DockerCase, proxy: TransportProxy) -> None:
    """The first spawn of an image looks at it once; no version, no list, no inspect.

    The engine's id is read twice: Podman's is another one each time.
    """
    with led.open() as spawner:
        first = asked_by(spawner, proxy, sh("sleep 600"))
        assert first == ["GET /info", "GET /info", LOOK, CREATE, ATTACH, WAIT, START]
        assert proxy.count(path="/version") == 0
        assert proxy.count("GET", r"/containers/[^/]+/json") == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_list_that_has_what_is_being_made(
    led: DockerCase, proxy: TransportProxy, late: bool
) -> None:
    """The watch's first list shows the container as created: nothing more is asked about it.

    Such a list may come before the answer to create is known, and late, after the whole spawn.
    """
    created, listed, spawned = threading.Event(), threading.Event(), threading.Event()

    def before(seen: Seen) -> None:
        if short(seen) == LIST:
            created.wait(PATIENCE)
        if short(seen) == START:
            listed.wait(PATIENCE)

    def after(seen: Seen) -> None:
        if short(seen) == CREATE:
            created.set()
            if not late:
                listed.wait(PATIENCE)
        if short(seen) == LIST:
            listed.set()
            if late:
                spawned.wait(PATIENCE)

    proxy.on_request, proxy.on_response = before, after
    with led.open() as spawner:
        handle = spawner.spawn(sh("sleep 600"))
        spawned.set()
        # The end of another job is told by the watch when it is past that list.
        spawner.wait(spawner.spawn(sh("true")).job_id, PATIENCE)
        assert listed.is_set()
        assert proxy.count("GET", f"/containers/({handle.engine_id}|{handle.name})/json") == 0


def test_the_wait_is_registered_before_the_start(led: DockerCase, proxy: TransportProxy) -> None:
    """The engine has answered attach and wait before it is asked to start."""
    answered: list[str] = []
    asked: list[tuple[str, list[str]]] = []
    proxy.on_request = lambda seen: asked.append((short(seen), list(answered)))
    proxy.on_response = lambda seen: answered.append(short(seen))
    with led.open() as spawner:
        assert spawner.wait(spawner.spawn(sh("exit 5")).job_id, PATIENCE).exit_code == 5
    before_start = next(known for request, known in asked if request == START)
    assert {CREATE, ATTACH, WAIT} <= set(before_start)


def test_all_waiters_share_one_watch(led: DockerCase, proxy: TransportProxy) -> None:
    """However often a process asks how jobs stand, one stream of events is open."""
    with led.open() as spawner:
        jobs = [spawner.spawn(sh("true")).job_id for _ in range(5)]
        for job in jobs:
            assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED
        assert proxy.count("GET", "/events") == 1


def test_the_calls_of_many_spawns_go_by_one_connection(
    case: DockerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside one kept connection, a job needs those two that are held until its end."""
    opened: list[str] = []
    connect = transport._unix
    monkeypatch.setattr(
        transport, "_unix", lambda path, limit: opened.append(path) or connect(path, limit)
    )
    count = 40
    with case.open() as spawner:
        warm(spawner)
        before = len(opened)
        jobs = [spawner.spawn(sh("sleep 600")).job_id for _ in range(count)]
        # The watch may list meanwhile, and a kept connection may become one that is held.
        assert abs(len(opened) - before - count * 2) <= 3
        for job in jobs:
            spawner.remove(job, force=True)
