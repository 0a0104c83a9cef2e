"""Jobs of several places with one state directory: engines, clones, two ways to one engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from docker_case import PATIENCE, DockerCase, eventually, running, sh
from docker_images import BUSYBOX
from private_docker import PrivateDocker
from spawnery.errors import WaitTimeout
from spawnery.model import JobState
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")
NO_INFO = Rule(Fault.ERROR_500, status=403, path=r"^(/v1\.\d+)?/info")
NO_GRACE = {"SPAWNERY_ORPHAN_GRACE_SECONDS": "0"}


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateDocker]:
    """Another engine."""
    with PrivateDocker() as made:
        yield made


@pytest.fixture(scope="module")
def clone(engine: PrivateDocker) -> Iterator[PrivateDocker]:
    """A third one, with the id of that one."""
    with PrivateDocker(clone_of=engine) as made:
        yield made


@pytest.fixture
def there(engine: PrivateDocker) -> Iterator[dict[str, str]]:
    """The variables that lead to the other engine."""
    yield from led_to(engine)


@pytest.fixture
def cloned(clone: PrivateDocker) -> Iterator[dict[str, str]]:
    """The variables that lead to its clone."""
    yield from led_to(clone)


def led_to(engine: PrivateDocker) -> Iterator[dict[str, str]]:
    """Give the variables that lead to an engine; leave nothing in it."""
    yield {"DOCKER_HOST": engine.address}
    left = engine.containers()
    if left:
        engine.docker("rm", "-f", *left)


def places(case: DockerCase, **variables: str) -> list[dict[str, Any]]:
    """Return what ``spawnery places`` lists."""
    listed: list[dict[str, Any]] = json.loads(case.cli("places", "--json", **variables).stdout)
    return listed


def states(case: DockerCase, **variables: str) -> dict[str, str]:
    """Return what ``spawnery ps --all`` lists."""
    listed = json.loads(case.cli("ps", "--all", "--json", **variables).stdout)
    return {item["job_id"]: item["state"] for item in listed}


def spawn(case: DockerCase, job_id: str = "one", **variables: str) -> None:
    """Spawn a job that goes on."""
    words = ("spawn", "--job-id", job_id, "--image", BUSYBOX, "--", "sleep", "600")
    done = case.cli(*words, **variables)
    assert done.returncode == 0, done.stderr


# -- two engines -----------------------------------------------------------------------------


def test_one_id_in_two_engines(case: DockerCase, there: dict[str, str]) -> None:
    """The same job id in two engines is two jobs, each with an end of its own."""
    with case.open() as here, case.open(**there) as other:
        first = here.spawn(sh("exit 3", job_id="one"))
        second = other.spawn(sh("exit 4", job_id="one"))
        assert (first.created, second.created) == (True, True)
        assert first.engine_id != second.engine_id
        assert here.wait("one", PATIENCE).exit_code == 3
        assert other.wait("one", PATIENCE).exit_code == 4
        other.remove("one")
        assert here.status("one").state is JobState.FAILED


def test_commands_in_another_engine(
    case: DockerCase, engine: PrivateDocker, there: dict[str, str]
) -> None:
    """No command there finds, lists, stops, removes or reaps the job; the hint names its place."""
    spawn(case)
    for words in (["status", "one"], ["wait", "one"], ["stop", "one"], ["rm", "--force", "one"]):
        done = case.cli(*words, **there, **NO_GRACE)
        assert done.returncode == 125, words
        assert "no job one in this place" in done.stderr
        assert case.address in done.stderr
    assert states(case, **there) == {}
    assert case.cli("reap", **there, **NO_GRACE).stdout == ""
    listed = {item["here"]: item for item in places(case, **there)}
    assert listed[True]["place"]["endpoint"] == engine.address
    assert (listed[False]["unfinished"], listed[True]["unfinished"]) == (1, 0)
    assert states(case) == {"one": "RUNNING"}
    assert case.cli("stop", "one").returncode == 0


def test_reap_acts_in_its_own_place(case: DockerCase, there: dict[str, str]) -> None:
    """What is over in both engines is reaped in the one where reap runs."""
    words = ("--image", BUSYBOX, "--deadline-seconds", "1s", "--", "sleep", "600")
    for variables in ({}, there):
        assert case.cli("spawn", "--job-id", "one", *words, **variables).returncode == 0

    def reaped() -> bool:
        return "past its deadline" in case.cli("reap", **there).stdout

    eventually(reaped)
    assert states(case, **there) == {"one": "TIMED_OUT"}
    assert case.inspect("one")["State"]["Running"]
    eventually(lambda: "past its deadline" in case.cli("reap").stdout)


def test_a_place_that_is_gone_is_given_up(case: DockerCase) -> None:
    """An engine that was installed anew is another place; the first is given up by its name."""
    with PrivateDocker() as engine:
        case.environ["DOCKER_HOST"] = engine.address
        spawn(case)
        engine.reinstall()
        done = case.cli("status", "one")
        assert "no job one in this place" in done.stderr
        [lost] = [item for item in places(case) if not item["here"]]
        assert lost["unfinished"] == 1
        assert lost["key"] in done.stderr
        spawn(case)
        given_up = case.cli("places", "--give-up", lost["key"], "--yes")
        assert (given_up.returncode, given_up.stdout) == (0, "one\n"), given_up.stderr
        assert sum(item["unfinished"] for item in places(case) if not item["here"]) == 0
        assert states(case) == {"one": "RUNNING"}


# -- two ways to one engine ------------------------------------------------------------------


def test_one_engine_by_socket_and_by_tcp(case: DockerCase, proxy: TransportProxy) -> None:
    """What is spawned by one way is found, listed, stopped and remembered by the other one."""
    by_tcp = {"DOCKER_HOST": proxy.address}
    spawn(case)
    assert states(case, **by_tcp) == {"one": "RUNNING"}
    spawn(case, **by_tcp)
    assert case.inspect("one")["State"]["Running"]
    with case.open(**by_tcp) as spawner:
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED
    assert states(case) == states(case, **by_tcp) == {"one": "CANCELLED"}
    listed = places(case)
    assert {item["here"] for item in listed} == {True}
    assert {item["place"]["id"] for item in listed} == {case.docker("info", "--format", "{{.ID}}")}


def test_a_job_that_was_seen_in_both_ways_can_end_in_both(
    case: DockerCase, proxy: TransportProxy
) -> None:
    """Once its object was asked for by the other way, its absence there is its end."""
    by_tcp = {"DOCKER_HOST": proxy.address}
    spawn(case)
    with case.open(**by_tcp) as spawner:
        running(spawner, "one")
        case.docker("rm", "-f", f"{case.prefix}-one")
        assert spawner.wait("one", PATIENCE).state in {JobState.FAILED, JobState.LOST}
    assert states(case)["one"] in {"FAILED", "LOST"}


@pytest.mark.parametrize("opened_first", [True, False])
def test_info_opens_and_closes_while_a_job_runs(
    led: DockerCase, proxy: TransportProxy, opened_first: bool
) -> None:
    """A proxy that hides the engine's id and shows it again: the job stays one, in one place."""
    if opened_first:
        with led.open() as spawner:
            assert spawner.list() == []
    proxy.arm(NO_INFO)
    with led.open(SPAWNERY_RELIST_SECONDS="1") as spawner:
        spawner.spawn(sh("until [ -e /tmp/go ]; do sleep 0.1; done; exit 5", job_id="one"))
        running(spawner, "one")
        for _ in range(2):
            proxy.clear()
            assert states(led) == {"one": "RUNNING"}
            assert [d.action for d in spawner.reap()] == ["keep"]
            proxy.cut_all()  # the stream is opened again, after a look at the place
            proxy.arm(NO_INFO)
            assert states(led) == {"one": "RUNNING"}
            assert [d.action for d in spawner.reap()] == ["keep"]
        led.docker("exec", f"{led.prefix}-one", "touch", "/tmp/go")
        assert spawner.wait("one", PATIENCE).exit_code == 5
    proxy.clear()
    assert states(led) == {"one": "FAILED"}
    assert len(places(led)) == 1


def test_a_place_that_says_its_id_later(case: DockerCase, proxy: TransportProxy) -> None:
    """A job that was stopped by one way while the other one hid the id has one record and end."""
    by_tcp = {"DOCKER_HOST": proxy.address}
    proxy.arm(NO_INFO)
    spawn(case, **by_tcp)
    assert case.cli("reap", **NO_GRACE).stdout == ""
    assert states(case) == states(case, **by_tcp) == {"one": "RUNNING"}
    assert case.cli("stop", "one").returncode == 0
    proxy.clear()
    assert states(case, **by_tcp) == states(case) == {"one": "CANCELLED"}
    listed = places(case)
    assert [(item["here"], item["unfinished"]) for item in listed] == [(True, 0)] * 2
    assert case.cli("rm", "one", **by_tcp).returncode == 0
    assert states(case, **by_tcp) == states(case) == {}


# -- two engines with one id -----------------------------------------------------------------


def test_absence_in_a_clone_proves_nothing(
    case: DockerCase, engine: PrivateDocker, there: dict[str, str], cloned: dict[str, str]
) -> None:
    """Two engines with one id: a look in the second ends no job of the first."""
    spawn(case, **there)
    assert {item["place"]["id"] for item in places(case, **cloned)} == {
        engine.docker("info", "--format", "{{.ID}}")
    }
    shown = json.loads(case.cli("status", "one", "--json", **cloned).stdout)
    assert (shown["state"], shown["outcome"]) == ("PENDING", None)
    assert "not seen here" in shown["message"]
    with case.open(**cloned, **NO_GRACE, SPAWNERY_RELIST_SECONDS="1") as spawner:
        [decision] = spawner.reap()
        assert (decision.action, decision.done) == ("keep", False)
        with pytest.raises(WaitTimeout):
            spawner.wait("one", 4)
    assert states(case, **there) == {"one": "RUNNING"}
    assert case.cli("stop", "one", **there).returncode == 0
    assert states(case, **there)["one"] == "CANCELLED"


@pytest.mark.parametrize("words", [["stop", "one"], ["rm", "one"], ["rm", "--force", "one"]])
def test_a_job_is_not_ended_or_forgotten_by_its_clone(
    case: DockerCase, there: dict[str, str], cloned: dict[str, str], words: list[str]
) -> None:
    """Stop and rm in the second engine say that they do not see the job, and change nothing."""
    spawn(case, **there)
    done = case.cli(*words, **cloned)
    assert done.returncode == 125
    assert "not seen here" in done.stderr
    assert states(case, **there) == {"one": "RUNNING"}
    spawn(case, **there)
    with case.open(**there) as spawner:
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED
