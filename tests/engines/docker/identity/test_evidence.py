"""Evidence names the container that it is about; another one's changes nothing (promise P3)."""

from __future__ import annotations

import pytest
from docker_bare import Bare
from docker_case import PATIENCE, DockerCase, eventually, running, sh
from docker_images import BUSYBOX
from spawnery.contract import LABEL_RECORD_ID
from spawnery.model import JobGone, JobSeen, JobState

pytestmark = pytest.mark.engine("docker")
RUNS = 81


def test_all_evidence_names_its_container(case: DockerCase) -> None:
    """Handle, status, list and events carry the container's id and the record id on it."""
    with Bare(case) as bare, bare.watch() as stream:
        handle = bare.spawner.spawn(bare.asked(record_id="r7"))
        there = case.inspect("one")
        assert there["Config"]["Labels"][LABEL_RECORD_ID] == "r7"
        of_list = bare.spawner.list_jobs()
        bare.stop()
        told = bare.gone(stream)
    named = [handle, *of_list, *(event.status for event in told if isinstance(event, JobSeen))]
    named += [event for event in told if isinstance(event, JobGone)]
    assert {(one.engine_id, one.record_id) for one in named} == {(there["Id"], "r7")}
    assert len(named) >= 5


def test_an_adopted_container_names_its_own_record(case: DockerCase) -> None:
    """A running container of an earlier record is taken, and the handle says which record's."""
    with Bare(case) as bare:
        first = bare.spawner.spawn(bare.asked(record_id="r1"))
        with Bare(case) as other:
            again = other.spawner.spawn(other.asked(record_id="r2"))
            assert other.status().record_id == "r1"
    assert (again.created, again.engine_id, again.record_id) == (False, first.engine_id, "r1")


def test_a_container_of_the_previous_version(case: DockerCase) -> None:
    """A container without the label is told of by its engine id alone."""
    with Bare(case) as bare:
        asked = bare.asked(record_id="r1")
        old = {key: value for key, value in asked.labels.items() if key != LABEL_RECORD_ID}
        words = [word for key, value in old.items() for word in ("--label", f"{key}={value}")]
        made = case.docker("run", "-d", "--name", bare.name(), *words, BUSYBOX, "sleep", "600")
        handle = bare.spawner.spawn(asked)
        assert (handle.created, handle.engine_id, handle.record_id) == (False, made, None)
        assert (bare.status().engine_id, bare.status().record_id) == (made, None)


def test_an_ended_container_of_an_earlier_job_is_no_run(case: DockerCase) -> None:
    """Each spawn of a new record runs, also while the earlier container is on its way out."""
    with Bare(case) as bare:
        ids = set()
        for number in range(20):
            handle = bare.spawner.spawn(bare.asked("true", record_id=f"r{number}"))
            assert handle.record_id == f"r{number}"
            ids.add(handle.engine_id)
            eventually(lambda: bare.status().outcome is not None)
            assert bare.status().record_id == f"r{number}"
    assert len(ids) == 20


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_another_container_under_the_name_is_left_alone(case: DockerCase, verb: str) -> None:
    """A stop or a removal that names a container that is gone does nothing to its successor."""
    with Bare(case) as bare:
        first = bare.spawner.spawn(bare.asked(record_id="r1"))
        bare.stop(engine_id=first.engine_id)
        eventually(lambda: not case.containers())
        second = bare.spawner.spawn(bare.asked(record_id="r2"))
        getattr(bare, verb)(engine_id=first.engine_id)
        assert bare.status().state is JobState.RUNNING
        assert bare.status().engine_id == second.engine_id == case.inspect("one")["Id"]


def test_the_end_of_a_removed_container_is_not_told_as_its_successors(case: DockerCase) -> None:
    """What is heard late of a removed container is not the end of the next one of that name."""
    with Bare(case) as bare:
        asked = bare.asked("exit 3", record_id="r1", job={"retention_seconds": 600})
        first = bare.spawner.spawn(asked)
        eventually(lambda: bare.status().outcome is not None)
        bare.remove(engine_id=first.engine_id)
        with bare.watch() as stream:  # its events begin before the removal
            second = bare.spawner.spawn(bare.asked("sleep 600", record_id="r2"))
            case.docker("rm", "-f", bare.name())
            told = bare.gone(stream, 2)
    ends = [e.status for e in told if isinstance(e, JobSeen) and e.status.outcome is not None]
    assert {end.engine_id for end in ends} <= {second.engine_id}
    gone = [(e.engine_id, e.record_id) for e in told if isinstance(e, JobGone)]
    assert gone == [(first.engine_id, "r1"), (second.engine_id, "r2")]


def test_the_log_of_an_earlier_container_is_not_its_successors(case: DockerCase) -> None:
    """The kept log of a followed job is not given as that of a later container of its name."""
    with case.open() as follower, case.open() as other:
        follower.spawn(sh("echo first", job_id="one"), follow=True)
        follower.wait("one", PATIENCE)
        follower.remove("one")
        other.spawn(sh("echo second; sleep 600", job_id="one"))
        running(follower, "one")
        eventually(lambda: b"second" in b"".join(c.data for c in other.logs("one")))
        assert b"".join(c.data for c in follower.logs("one")) == b"second\n"


@pytest.mark.timeout(900)
def test_every_run_after_a_removal_runs(case: DockerCase) -> None:
    """The same id, removed after each run: each run starts a container of its own."""
    for number in range(RUNS):
        done = case.cli("run", "--job-id", "loop1", "--image", BUSYBOX, "--", "echo", str(number))
        assert (done.returncode, done.stdout) == (0, f"{number}\n"), done.stderr
        assert case.cli("rm", "loop1").returncode == 0
