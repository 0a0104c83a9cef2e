"""One id, one container: callers at once, killed ones, names that are taken (promise P1)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from docker_case import PATIENCE, DockerCase, Events, eventually, left_created, running, sh
from docker_images import BUSYBOX
from job_calls import at_once
from spawnery.contract import LABEL_INSTANCE, LABEL_JOB_ID
from spawnery.errors import JobNotFound, NameConflict, SpecConflict
from spawnery.model import JobHandle, JobState
from spawnery.testing.faults import Fault, Rule, Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")

CALLER = f"""
import json, sys
from spawnery.model import JobSpec
from spawnery.spawner import Spawner
with Spawner.open() as spawner:
    spec = JobSpec(job_id="one", image={BUSYBOX!r}, command=["sh", "-c", "sleep 600"])
    print(json.dumps(spawner.spawn(spec).created), flush=True)
"""


@pytest.fixture
def events(request: pytest.FixtureRequest) -> Iterator[Events]:
    """What the engine tells of the test's containers."""
    corner = "led" if "led" in request.fixturenames else "case"
    made = Events(request.getfixturevalue(corner))
    yield made
    made.close()


def test_the_same_spec_again(case: DockerCase, events: Events) -> None:
    """A job that is there is found, by this spawner and by a new one; nothing is made."""
    with case.open() as spawner:
        first = spawner.spawn(sh("sleep 600", job_id="one"))
        again = spawner.spawn(sh("sleep 600", job_id="one"))
    with case.open() as spawner:
        other = spawner.spawn(sh("sleep 600", job_id="one"))
    assert (first.created, again.created, other.created) == (True, False, False)
    assert first.engine_id == again.engine_id == other.engine_id == case.inspect("one")["Id"]
    assert events.of("one") == ["create", "start"]


def test_found_without_a_record(case: DockerCase, events: Events) -> None:
    """Where the records were lost the container's own labels tell that it is the same job."""
    with case.open() as spawner:
        first = spawner.spawn(sh("sleep 600", job_id="one"))
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "new")) as spawner:
        again = spawner.spawn(sh("sleep 600", job_id="one"))
        assert (again.created, again.engine_id) == (False, first.engine_id)
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "newer")) as spawner:
        with pytest.raises(SpecConflict):
            spawner.spawn(sh("sleep 601", job_id="one"))
        running(spawner, "one")
    assert events.of("one") == ["create", "start"]


def test_another_spec(case: DockerCase) -> None:
    """Another spec under the id is refused, and the running container goes on as it was."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="one"))
        before = case.inspect("one")["State"]
        with pytest.raises(SpecConflict) as caught:
            spawner.spawn(sh("sleep 601", job_id="one"))
        assert caught.value.job_id == "one"
        assert "one" in caught.value.message
        assert case.inspect("one")["State"] == before


@pytest.mark.parametrize("labels", [{}, {LABEL_INSTANCE: "theirs", LABEL_JOB_ID: "one"}])
def test_a_foreign_container(case: DockerCase, labels: dict[str, str]) -> None:
    """A container of somebody else, of another instance too, is told of and not touched."""
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    name = f"{case.prefix}-one"
    theirs = case.docker("run", "-d", "--name", name, *words, BUSYBOX, "sleep", "600")
    before = case.inspect("one")
    with case.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        with pytest.raises(NameConflict) as caught:
            spawner.spawn(sh("sleep 600", job_id="one"))
        assert theirs[:12] in caught.value.message
        assert name in (caught.value.hint or "")
        spawner.reap()
        assert spawner.list() == []
    assert case.inspect("one") == before


def test_twelve_threads(case: DockerCase, events: Events) -> None:
    """Of twelve threads in three spawners one makes the container, and all get its handle."""
    with case.open() as a, case.open() as b, case.open() as c:
        spec = sh("sleep 600", job_id="one")
        calls = [lambda spawner=spawner: spawner.spawn(spec) for spawner in (a, b, c) * 4]
        results = at_once(calls)
    handles = [result for result in results if isinstance(result, JobHandle)]
    assert len(handles) == 12, results
    assert sorted(handle.created for handle in handles) == [False] * 11 + [True]
    assert {handle.engine_id for handle in handles} == {case.inspect("one")["Id"]}
    assert events.of("one") == ["create", "start"]


def test_five_processes(case: DockerCase, events: Events) -> None:
    """Of five processes one makes the container."""
    processes = [case.start("-c", CALLER) for _ in range(5)]
    told = []
    for process in processes:
        out, err = process.communicate(timeout=PATIENCE * 2)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    assert sorted(told) == [False] * 4 + [True]
    assert events.of("one") == ["create", "start"]


def test_processes_without_common_records(case: DockerCase, events: Events) -> None:
    """Where callers share no records the engine's names still make it one container."""
    processes = [
        case.start("-c", CALLER, SPAWNERY_STATE_DIR=str(case.folder / f"own-{number}"))
        for number in range(4)
    ]
    for process in processes:
        _, err = process.communicate(timeout=PATIENCE * 2)
        assert process.returncode == 0, err
    assert events.of("one")[0] == "create"
    assert events.of("one").count("create") == 1
    assert len(case.containers()) == 1


def test_after_its_end_the_record_keeps_the_id(case: DockerCase, events: Events) -> None:
    """A container that has removed itself is not made again: its id has had its run."""
    with case.open() as spawner:
        first = spawner.spawn(sh("exit 4", job_id="one"))
        assert spawner.wait("one", PATIENCE).exit_code == 4
    eventually(lambda: not case.containers())
    with case.open() as spawner:
        again = spawner.spawn(sh("exit 4", job_id="one"))
        assert (again.created, again.engine_id) == (False, first.engine_id)
        assert spawner.wait("one", PATIENCE).exit_code == 4
    assert events.of("one") == ["create", "start"]
    assert case.containers() == set()


def test_a_created_container_is_finished(
    led: DockerCase, events: Events, proxy: TransportProxy
) -> None:
    """What a killed caller has made and not started is started by whoever spawns it again."""
    left = left_created(led, proxy, "-c", CALLER)
    with led.open() as spawner:
        handle = spawner.spawn(sh("sleep 600", job_id="one"))
        assert handle.engine_id == left
        running(spawner, "one")
    assert events.of("one") == ["create", "start"]


def test_a_created_container_is_removed_by_reap(led: DockerCase, proxy: TransportProxy) -> None:
    """Reap leaves it alone as long as its caller may be at work, then removes it."""
    left_created(led, proxy, "-c", CALLER)
    with led.open() as spawner:
        assert [d.action for d in spawner.reap()] == ["keep"]
    assert len(led.containers()) == 1
    with led.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        decisions = spawner.reap()
        assert decisions[0].action == "remove"
        assert "never started" in decisions[0].reason
        assert led.containers() == set()
        assert spawner.status("one").state is JobState.LOST


def test_a_name_that_is_taken_and_not_there(
    led: DockerCase, events: Events, proxy: TransportProxy
) -> None:
    """409 at create and 404 at the look (a container that is being removed): tried again."""
    body = b'{"message": "Conflict. The container name is already in use"}'
    proxy.arm(Rule(Fault.ERROR_500, method="POST", path="/create", nth=1, status=409, body=body))
    with led.open() as spawner:
        assert spawner.spawn(sh("exit 6", job_id="one")).created
        assert spawner.wait("one", PATIENCE).exit_code == 6
    assert events.of("one") == ["create", "start"]


@pytest.mark.parametrize("step", ["/containers/create", "/start"])
def test_an_answer_that_comes_too_late(
    led: DockerCase, events: Events, proxy: TransportProxy, step: str
) -> None:
    """The engine acted, and its answer did not come in time: the next look finds the job."""
    release, late = threading.Event(), []

    def hold(seen: Seen) -> None:
        if step in seen.path and seen.method == "POST" and not late:
            late.append(seen)
            release.wait(PATIENCE)

    proxy.on_response = hold
    with led.open(SPAWNERY_IO_TIMEOUT_SECONDS="5") as spawner:
        handle = spawner.spawn(sh("sleep 600", job_id="one"))
        assert handle.created
        release.set()
        assert late
        assert led.inspect("one")["Id"] == handle.engine_id
        running(spawner, "one")
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED
    assert events.of("one") == ["create", "start"]


def test_a_start_whose_answer_is_lost_with_the_container(
    led: DockerCase, events: Events, proxy: TransportProxy
) -> None:
    """It ran, ended and removed itself before the lost answer: its code is known all the same."""

    def lose(seen: Seen) -> None:
        if seen.path.endswith("/start"):
            eventually(lambda: not led.containers())
            raise ConnectionError

    proxy.on_response = lose
    with led.open() as spawner:
        spawner.spawn(sh("exit 3", job_id="one"))
        proxy.on_response = None
        assert spawner.wait("one", PATIENCE).exit_code == 3
    assert events.of("one") == ["create", "start"]


def test_a_container_that_is_removed_before_its_start(
    led: DockerCase, events: Events, proxy: TransportProxy
) -> None:
    """Its wait ends with 0 (moby, container/state.go), which is no success: it is made again."""
    removed = []

    def remove(seen: Seen) -> None:
        if seen.path.endswith("/start") and not removed:
            removed.append(led.docker("rm", f"{led.prefix}-one"))

    proxy.on_request = remove
    with led.open() as spawner:
        assert spawner.spawn(sh("exit 3", job_id="one")).created
        assert spawner.wait("one", PATIENCE).exit_code == 3
    assert events.of("one") == ["create", "create", "start"]


def test_a_container_that_is_gone_and_never_ran_is_made_again(
    led: DockerCase, events: Events, proxy: TransportProxy
) -> None:
    """Its caller was killed, and the engine removed it (AutoRemove on Docker 28): nothing ran."""
    left = left_created(led, proxy, "-c", CALLER)
    led.docker("rm", left)
    with led.open() as spawner:
        handle = spawner.spawn(sh("sleep 600", job_id="one"))
        assert handle.created
        assert handle.engine_id != left
        running(spawner, "one")
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED
    assert events.of("one") == ["create", "create", "start"]


@pytest.mark.parametrize("retention", [0, 600])
def test_a_caller_that_dies_while_its_container_is_started(
    led: DockerCase, events: Events, proxy: TransportProxy, retention: int
) -> None:
    """Docker 28 cancels the start then: whether it did or not, the next spawn has the job run."""
    asked = threading.Event()

    def note(seen: Seen) -> None:
        if seen.path.endswith("/start"):
            asked.set()

    proxy.on_request = note
    words = ("--job-id", "one", "--image", BUSYBOX, "--retention-seconds", str(retention))
    process = led.start("-m", "spawnery", "spawn", *words, "--", "sleep", "600")
    assert asked.wait(PATIENCE), process.communicate()
    process.kill()
    proxy.cut_all()
    process.wait(PATIENCE)
    proxy.on_request = None
    done = led.cli("spawn", *words, "--", "sleep", "600")
    assert done.returncode == 0, done.stderr
    with led.open() as spawner:
        running(spawner, "one")
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED
    assert events.of("one").count("start") == 1


@pytest.mark.parametrize("retention", [0, 600])
def test_a_connection_that_breaks_while_a_container_is_started(
    led: DockerCase, events: Events, proxy: TransportProxy, retention: int
) -> None:
    """Docker 28 cancels the start then, and the caller lives: its job runs once all the same."""
    asked = []

    def cut(seen: Seen) -> None:
        if seen.path.endswith("/start") and not asked:
            asked.append(seen)
            threading.Timer(0, proxy.cut_all).start()

    proxy.on_request = cut
    with led.open() as spawner:
        assert spawner.spawn(sh("sleep 600", job_id="one", retention_seconds=retention)).created
        running(spawner, "one")
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED
    assert events.of("one").count("start") == 1


@pytest.mark.parametrize("look", ["status", "wait", "reap"])
def test_a_container_that_is_gone_and_never_ran_has_failed(
    led: DockerCase, proxy: TransportProxy, look: str
) -> None:
    """Where nobody spawns it again its end is known: nothing ran, and nothing is lost."""
    led.docker("rm", left_created(led, proxy, "-c", CALLER))
    with led.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        if look == "wait":
            spawner.wait("one", PATIENCE)
        elif look == "reap":
            assert [(d.action, d.done) for d in spawner.reap()] == [("finish", True)]
        outcome = spawner.status("one").outcome
        assert outcome is not None
        assert (outcome.state, outcome.cause) == (JobState.FAILED, "start.failed")
        assert "never ran" in outcome.message
        spawner.remove("one")
        with pytest.raises(JobNotFound):
            spawner.status("one")
        with pytest.raises(JobNotFound):
            spawner.remove("one")


def test_removed_by_several_at_once(case: DockerCase) -> None:
    """Removals that meet each other (409, 404) are done when the container is gone."""
    with case.open() as a, case.open() as b:
        a.spawn(sh("sleep 600", job_id="one"))
        removals = [lambda s=s: s.remove("one", force=True) for s in (a, b, a, b)]
        by_hand = [lambda: case.docker("rm", "-f", f"{case.prefix}-one")] * 2
        results = at_once([*removals, *by_hand])[:4]
        assert all(r is None or isinstance(r, JobNotFound) for r in results), results
        assert case.containers() == set()
