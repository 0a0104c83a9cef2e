"""The spawner behind a socket proxy that lets through only what it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from docker_case import DockerCase, eventually, output, running, sh
from docker_images import BUSYBOX
from socket_proxy import NEEDED, OPTIONAL, refused, socket_proxy
from spawnery.errors import EngineDenied, SpawnerError
from spawnery.model import JobSpec, JobState
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")
PATIENCE = 60.0


@pytest.fixture(params=["needed", "optional"])
def allowed(request: pytest.FixtureRequest) -> Sequence[tuple[str, str]]:
    """What the proxy lets through: the least, or that and what is useful."""
    return NEEDED if request.param == "needed" else (*NEEDED, *OPTIONAL)


@pytest.fixture
def proxy(docker_engine: str, allowed: Sequence[tuple[str, str]]) -> Iterator[TransportProxy]:
    """The proxy before the engine."""
    with socket_proxy(docker_engine, allowed) as proxy:
        yield proxy


def test_the_whole_life_of_jobs(
    case: DockerCase, proxy: TransportProxy, allowed: Sequence[tuple[str, str]]
) -> None:
    """Spawn, logs, wait, failure with its tail, stop, list, retention and removal all work."""
    with case.open(DOCKER_HOST=proxy.address) as spawner:
        assert output(spawner, sh("echo hello", job_id="talks")) == "hello\n"
        failing = sh("echo broken >&2; exit 3", job_id="fails")
        outcome = spawner.wait(spawner.spawn(failing).job_id, PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
        assert "broken" in outcome.log_tail
        spawner.spawn(sh("sleep 600", job_id="stays"))
        running(spawner, "stays")
        alive = [status.job_id for status in spawner.list() if not status.state.terminal]
        assert alive == ["stays"]
        assert spawner.stop("stays", grace_seconds=0).state is JobState.CANCELLED
        spawner.spawn(sh("echo kept", job_id="kept", retention_seconds=600))
        assert spawner.wait("kept", PATIENCE).state is JobState.SUCCEEDED
        with spawner.logs("kept") as chunks:
            assert b"".join(chunk.data for chunk in chunks) == b"kept\n"
        spawner.remove("kept")
        eventually(lambda: not case.containers())
    beyond = {path.partition("?")[0] for path in refused(proxy, allowed)}
    spared = {f"/images/{BUSYBOX}/json", "/info"}
    assert {path.split(" ")[1].removeprefix("/v1.41") for path in beyond} <= spared


def test_the_image_that_ran(case: DockerCase, proxy: TransportProxy, allowed) -> None:
    """Where images may be looked at the outcome names the one that ran."""
    with case.open(DOCKER_HOST=proxy.address) as spawner:
        outcome = spawner.wait(spawner.spawn(sh("exit 0", job_id="ran")).job_id, PATIENCE)
    assert outcome.state is JobState.SUCCEEDED
    if allowed is not NEEDED:
        assert outcome.image_digest == case.docker("inspect", "-f", "{{.Id}}", BUSYBOX)


def test_a_missing_image(case: DockerCase, proxy: TransportProxy) -> None:
    """A missing image is told by the create where nothing else may be asked; nothing is left."""
    spec = JobSpec(job_id="absent", image="spawnery-test/absent:1", pull_policy="never")
    with case.open(DOCKER_HOST=proxy.address) as spawner, pytest.raises(SpawnerError) as caught:
        spawner.spawn(spec)
    assert caught.value.cause == "image.not_found"
    assert "docker pull spawnery-test/absent:1" in caught.value.hint
    assert case.containers() == set()


def test_a_pull_that_the_proxy_forbids(case: DockerCase, docker_engine: str) -> None:
    """A pull that is not allowed is the proxy's doing and not the registry's."""
    with socket_proxy(docker_engine, NEEDED) as proxy:
        spec = JobSpec(job_id="pulled", image=BUSYBOX, pull_policy="always")
        with case.open(DOCKER_HOST=proxy.address) as spawner, pytest.raises(EngineDenied) as caught:
            spawner.spawn(spec)
    assert "POST /images/create" in caught.value.hint


def test_a_proxy_that_allows_too_little(case: DockerCase, docker_engine: str) -> None:
    """A spawn whose create is not allowed names the request that the proxy must let through."""
    readers = [(method, path) for method, path in NEEDED if method == "GET"]
    with (
        socket_proxy(docker_engine, readers) as proxy,
        case.open(DOCKER_HOST=proxy.address) as spawner,
        pytest.raises(EngineDenied) as caught,
    ):
        spawner.spawn(sh("exit 0", job_id="refused"))
    assert "POST /containers/create" in caught.value.hint
    assert case.containers() == set()


@pytest.mark.parametrize("path", ["/events", "/_ping", "/version"])
def test_check_names_what_a_proxy_forbids(case: DockerCase, docker_engine: str, path: str) -> None:
    """Each request that the spawner cannot do without is named where it is not allowed."""
    allowed = [(method, known) for method, known in NEEDED if known != path]
    with socket_proxy(docker_engine, allowed) as proxy:
        done = case.cli("check", DOCKER_HOST=proxy.address)
    assert done.returncode == 1
    assert f"a proxy before the engine must allow GET {path}" in done.stdout


@pytest.mark.parametrize("path", ["/events", "/_ping"])
def test_jobs_end_without_events(case: DockerCase, docker_engine: str, path: str) -> None:
    """A watch that the proxy forbids is told; the end of a job is found in the list of all."""
    allowed = [(method, known) for method, known in NEEDED if known != path]
    fast = {"SPAWNERY_RELIST_SECONDS": "2"}
    with socket_proxy(docker_engine, allowed) as proxy:
        words = ("run", "--image", BUSYBOX, "--", "sh", "-c", "echo hello; exit 3")
        done = case.cli(*words, DOCKER_HOST=proxy.address, **fast)
    assert done.returncode == 3, done.stderr
    assert done.stdout == "hello\n"
    assert "403" in done.stderr


def test_check_behind_a_proxy(case: DockerCase, proxy: TransportProxy, tmp_path: Path) -> None:
    """The check with a probe job passes, with a warning at most."""
    done = case.cli(*("check", "--json", "--probe", "--image", BUSYBOX), DOCKER_HOST=proxy.address)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "probe" in done.stdout
    assert json.loads(done.stdout)
