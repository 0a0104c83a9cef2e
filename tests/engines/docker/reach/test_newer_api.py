"""An engine that speaks API 1.44 to 1.52 (Docker 29), and one that is up- or downgraded under us.

The rows of the seed pass through such an engine too: see ``test_seed.py``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_versions import Versions, engine_of_versions
from docker_case import PATIENCE, DockerCase, eventually, output, running, sh
from spawnery.errors import EngineUnreachable
from spawnery.model import JobState
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")


OLD, NEW = ("1.41", "1.24"), ("1.52", "1.44")
"""The newest and the oldest version that Docker 20.10 and Docker 29 speak."""
STEPS = {
    "spawn: image": "GET /images/",
    "spawn: create": "POST /containers/create",
    "spawn: attach": "POST .*/attach",
    "spawn: start": "POST .*/start",
    "watch": "GET /events",
    "list": "GET /containers/json",
    "look": "GET /containers/[^/]+/json",
    "log": "GET .*/logs",
    "stop": "POST .*/(stop|kill)",
    "remove": "DELETE /containers/",
}
COUNTING = "i=0; while [ $i -lt 40 ]; do echo $i; sleep 0.1; i=$((i+1)); done; exit 7"


@pytest.fixture
def versions() -> Versions:
    """What the engine says that it speaks."""
    return Versions()


@pytest.fixture
def case(tmp_path: Path, docker_engine: str, versions: Versions) -> Iterator[DockerCase]:
    """A corner of the engine whose spawners meet those versions."""
    made = DockerCase(tmp_path, docker_engine)
    with engine_of_versions(docker_engine.removeprefix("unix://"), versions) as address:
        made.environ["DOCKER_HOST"] = address
        yield made
        made.close()


def test_it_is_spoken_to_in_its_own_version(case: DockerCase, versions: Versions) -> None:
    """The first request tells the versions: nothing is refused, and 1.44 is spoken."""
    with case.open() as spawner:
        assert output(spawner, sh("echo new")) == "new\n"
    assert versions.spoken == {"1.44"}
    assert versions.refused == 0


def test_a_minimum_that_rises_while_a_job_runs(case: DockerCase, versions: Versions) -> None:
    """The engine is upgraded under us: watch, status, stop and new jobs go on in 1.44."""
    versions.newest, versions.minimum = "1.41", "1.24"
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="before"))
        running(spawner, "before")
        versions.newest, versions.minimum = "1.52", "1.44"
        assert output(spawner, sh("echo after", job_id="after")) == "after\n"
        assert spawner.status("before").state is JobState.RUNNING
        assert spawner.stop("before", grace_seconds=0).state is JobState.CANCELLED
    assert versions.spoken == {"1.41", "1.44"}


def test_an_engine_too_new_for_us(case: DockerCase, versions: Versions) -> None:
    """Where no version is common it is an error that may pass, and no end of a job."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 5; exit 6", job_id="goes-on"))
        running(spawner, "goes-on")
        versions.newest = versions.minimum = "1.99"
        with pytest.raises(EngineUnreachable) as caught:
            spawner.spawn(sh("true", job_id="other"))
        assert caught.value.cause == "engine.too_new"
        assert caught.value.retryable
        versions.newest, versions.minimum = "1.52", "1.44"
        assert spawner.wait("goes-on", PATIENCE).exit_code == 6


@pytest.fixture
def way(case: DockerCase) -> Iterator[TransportProxy]:
    """A way to that engine, on which things happen."""
    with TransportProxy(case.environ["DOCKER_HOST"]) as made:
        case.environ["DOCKER_HOST"] = made.address
        yield made


@pytest.mark.parametrize("change", [(OLD, NEW), (NEW, OLD)], ids=["up", "down"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_change_of_versions_at_any_step(
    case: DockerCase,
    way: TransportProxy,
    versions: Versions,
    change: tuple[tuple[str, str], tuple[str, str]],
    step: str,
) -> None:
    """Whichever request meets the change first is sent again: no verb fails, no job."""
    before, after = change
    versions.newest, versions.minimum = before

    def met(seen: Seen) -> None:
        if re.search(step, re.sub(r"/v[\d.]+/", "/", f"{seen.method} {seen.path}")) and opened:
            versions.newest, versions.minimum = after

    way.on_request = met
    opened: list[bool] = []
    with case.open() as spawner:
        assert spawner.list() == []  # the first contact
        opened.append(True)
        kept = sh(COUNTING, job_id="kept", retention_seconds=600)
        assert spawner.spawn(kept).created
        with spawner.logs("kept", follow=True) as stream:
            text = b"".join(chunk.data for chunk in stream)
        assert text.split() == [b"%d" % number for number in range(40)]
        assert spawner.wait("kept", PATIENCE).exit_code == 7
        spawner.spawn(sh("sleep 600", job_id="stopped"))
        running(spawner, "stopped")
        assert spawner.stop("stopped", grace_seconds=0).state is JobState.CANCELLED
        assert {status.job_id for status in spawner.list()} == {"kept", "stopped"}
        with case.open(SPAWNERY_STATE_DIR=str(case.folder / "other")) as other:
            assert other.status("kept").outcome.exit_code == 7
        spawner.remove("kept")
    assert (versions.newest, versions.minimum) == after
    assert versions.refused
    assert case.containers() == set()


@pytest.mark.parametrize("change", [(OLD, NEW), (NEW, OLD)], ids=["up", "down"])
def test_a_change_of_versions_cuts_all_streams(
    case: DockerCase,
    way: TransportProxy,
    versions: Versions,
    change: tuple[tuple[str, str], tuple[str, str]],
) -> None:
    """A watch, a wait and a followed log go on with the engine that has come back."""
    before, after = change
    versions.newest, versions.minimum = before
    with case.open() as spawner:
        spawner.spawn(sh(COUNTING, job_id="goes-on", retention_seconds=600))
        data = b""
        with spawner.logs("goes-on", follow=True) as stream:
            for chunk in stream:
                data += chunk.data
                if versions.newest == before[0]:
                    versions.newest, versions.minimum = after
                    way.cut_all()
        assert data.split() == [b"%d" % number for number in range(40)]
        assert spawner.wait("goes-on", PATIENCE).exit_code == 7
    assert versions.refused


def test_a_follower_waits_for_an_engine_too_new(
    case: DockerCase, way: TransportProxy, versions: Versions
) -> None:
    """While no version is common a followed job has not ended; what it wrote then is read."""

    def pass_by() -> None:
        eventually(lambda: versions.refused > 2)
        versions.newest, versions.minimum = NEW

    passing = threading.Thread(target=pass_by)
    with case.open() as spawner:
        spawner.spawn(sh(COUNTING, job_id="goes-on", retention_seconds=600))
        data = b""
        with spawner.logs("goes-on", follow=True) as stream:
            for chunk in stream:
                data += chunk.data
                if not versions.refused:
                    versions.newest = versions.minimum = "1.99"
                    way.cut_all()
                    passing.start()
                    with pytest.raises(EngineUnreachable) as caught:
                        spawner.list()
                    assert (caught.value.cause, caught.value.retryable) == ("engine.too_new", True)
        passing.join(PATIENCE)
        assert data.split() == [b"%d" % number for number in range(40)]
        assert spawner.wait("goes-on", PATIENCE).exit_code == 7


@pytest.mark.parametrize("step", ["/containers/create", "/attach", "/wait", "/start"])
def test_an_engine_too_new_in_a_spawn(
    case: DockerCase, way: TransportProxy, versions: Versions, step: str
) -> None:
    """The spawn says so and may be tried again; then the job runs once, to its own end."""

    def change(seen: Seen) -> None:
        if step in seen.path:
            versions.newest = versions.minimum = "1.99"

    with case.open() as spawner:
        assert spawner.list() == []
        way.on_request = change
        with pytest.raises(EngineUnreachable) as caught:
            spawner.spawn(sh("exit 3", job_id="one"))
        assert (caught.value.cause, caught.value.retryable) == ("engine.too_new", True)
        way.on_request = None
        versions.newest, versions.minimum = NEW
        spawner.spawn(sh("exit 3", job_id="one"))
        outcome = spawner.wait("one", PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)
    eventually(lambda: not case.containers())
