"""Ending jobs: stop, deadlines that outlive their caller, and reap in every state (P6, P8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from docker_case import PATIENCE, DockerCase, eventually, running, sh
from docker_images import BUSYBOX
from spawnery.contract import (
    LABEL_DEADLINE,
    LABEL_INSTANCE,
    LABEL_JOB_ID,
    LABEL_RETENTION,
    LABEL_SPEC_HASH,
)
from spawnery.model import JobSpec, JobState
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("docker")

POLITE = 'trap "echo stopping; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
STUBBORN = 'trap "echo no" TERM; echo ready; while :; do sleep 0.05; done'

CALLER = """
import sys
from spawnery.model import JobSpec
from spawnery.spawner import Spawner
spawner = Spawner.open()
spec = JobSpec(
    job_id="timed", image=sys.argv[1], command=["sh", "-c", sys.argv[2]], deadline_seconds=2
)
spawner.spawn(spec)
print("spawned", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def spawner(case: DockerCase) -> Iterator[Spawner]:
    """A spawner of the case."""
    with case.open() as made:
        yield made


def ready(case: DockerCase, job_id: str) -> None:
    """Wait until the program has said that it is ready."""
    eventually(lambda: "ready" in case.docker("logs", f"{case.prefix}-{job_id}"))


# -- stop ------------------------------------------------------------------------------------


def test_a_program_that_ends_when_told(case: DockerCase, spawner: Spawner) -> None:
    """It gets SIGTERM; its end is CANCELLED though it exits with 0."""
    job = spawner.spawn(sh(POLITE, retention_seconds=600)).job_id
    ready(case, job)
    outcome = spawner.stop(job, grace_seconds=PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
    assert outcome.exit_code == 0
    assert case.docker("logs", f"{case.prefix}-{job}") == "ready\nstopping"


def test_a_program_that_does_not(case: DockerCase, spawner: Spawner) -> None:
    """After the grace it is killed, and CANCELLED with the code of SIGKILL."""
    job = spawner.spawn(sh(STUBBORN, retention_seconds=600)).job_id
    ready(case, job)
    outcome = spawner.stop(job, grace_seconds=1)
    assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, 137)
    assert case.docker("logs", f"{case.prefix}-{job}") == "ready\nno"


def test_no_grace_kills_at_once(case: DockerCase, spawner: Spawner) -> None:
    """With a grace of 0 the program is not asked."""
    job = spawner.spawn(sh(POLITE, retention_seconds=600)).job_id
    ready(case, job)
    outcome = spawner.stop(job, grace_seconds=0)
    assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, 137)
    assert case.docker("logs", f"{case.prefix}-{job}") == "ready"


def test_an_image_with_a_stop_signal_of_its_own(case: DockerCase, spawner: Spawner) -> None:
    """What is sent is SIGTERM, whatever the image says."""
    image = f"{case.prefix}/stop:1"
    folder = case.folder / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {BUSYBOX}\nSTOPSIGNAL SIGKILL\n")
    case.docker("build", "-q", "-t", image, str(folder))
    spec = JobSpec(image=image, command=["sh", "-c", POLITE], retention_seconds=600)
    job = spawner.spawn(spec).job_id
    ready(case, job)
    assert spawner.stop(job, grace_seconds=PATIENCE).exit_code == 0
    spawner.remove(job)
    case.docker("rmi", image)


def test_a_stop_from_another_process(case: DockerCase, spawner: Spawner) -> None:
    """Who waits is told that somebody else stopped it; nothing is left."""
    job = spawner.spawn(sh(POLITE)).job_id
    ready(case, job)
    done = case.cli("stop", job)
    assert done.returncode == 0, done.stderr
    assert spawner.wait(job, PATIENCE).state is JobState.CANCELLED
    eventually(lambda: not case.containers())


# -- deadlines -------------------------------------------------------------------------------


def abandoned(case: DockerCase, script: str) -> None:
    """Let a caller spawn a job with a deadline of 2 s, and kill it."""
    process = case.start("-c", CALLER, BUSYBOX, script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"spawned\n", process.communicate()
    process.kill()
    process.wait(PATIENCE)


def test_a_deadline_of_a_living_caller(case: DockerCase, spawner: Spawner) -> None:
    """A job that is over its time is TIMED_OUT though its program exits with 0."""
    job = spawner.spawn(sh(POLITE, deadline_seconds=2)).job_id
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    assert outcome.exit_code == 0
    eventually(lambda: not case.containers())


def test_a_deadline_is_kept_by_another_process(case: DockerCase) -> None:
    """Any living process of the instance ends the job of a dead caller in time."""
    abandoned(case, POLITE)
    with case.open() as other:
        outcome = other.wait("timed", PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    eventually(lambda: not case.containers())


def test_a_deadline_is_kept_by_reap(case: DockerCase) -> None:
    """Where no process lives ``spawnery reap`` ends it, by the container's own label."""
    abandoned(case, STUBBORN)
    grace = {"SPAWNERY_STOP_GRACE_SECONDS": "1"}

    def reaped() -> bool:
        done = case.cli("--json", "reap", **grace)
        assert done.returncode == 0, done.stderr
        return "past its deadline" in done.stdout

    eventually(reaped)
    eventually(lambda: not case.containers())
    shown = json.loads(case.cli("--json", "status", "timed").stdout)
    assert (shown["state"], shown["outcome"]["cause"]) == ("TIMED_OUT", "deadline")


# -- reap ------------------------------------------------------------------------------------


def made(case: DockerCase, verb: str, job_id: str, *program: str, **labels: str) -> str:
    """Make a container as another process of the instance would; returns its name."""
    ours = {
        LABEL_INSTANCE: case.instance,
        LABEL_JOB_ID: job_id,
        LABEL_SPEC_HASH: "0" * 64,
        LABEL_RETENTION: "0.000",
        **labels,
    }
    words = [word for key, value in ours.items() for word in ("--label", f"{key}={value}")]
    name = f"{case.prefix}-{job_id}"
    case.docker(verb, *(["-d"] if verb == "run" else []), "--name", name, *words, BUSYBOX, *program)
    return name


def seconds_old(case: DockerCase, job_id: str) -> float:
    """Return how long ago a container was made, by the clock that this machine shares with it."""
    made_at = datetime.fromisoformat(case.inspect(job_id)["Created"][:19] + "+00:00")
    return (datetime.now(UTC) - made_at).total_seconds()


def test_reap_in_every_state(case: DockerCase) -> None:
    """Without a record: what never started, ran over its time, hangs or has ended goes."""
    over = {LABEL_DEADLINE: "0.001"}
    made(case, "create", "created", "true")
    made(case, "run", "exited", "sh", "-c", "exit 3")
    made(case, "run", "late", "sleep", "600", **over)
    made(case, "run", "paused", "sleep", "600", **over)
    made(case, "run", "busy", "sleep", "600")
    made(case, "run", "kept", "true", **{LABEL_RETENTION: "600.000"})
    case.docker("pause", f"{case.prefix}-paused")
    eventually(lambda: case.inspect("exited")["State"]["Status"] == "exited")
    eventually(lambda: case.inspect("kept")["State"]["Status"] == "exited")
    # The engine's clock is read in whole seconds: before that nothing is surely over.
    eventually(lambda: seconds_old(case, "kept") > 2)
    with case.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0", SPAWNERY_STOP_GRACE_SECONDS="1") as spawner:
        decisions = spawner.reap()
        assert all(d.error is None for d in decisions), decisions
        assert case.containers() == {f"{case.prefix}-busy", f"{case.prefix}-kept"}
        ends = {job: spawner.status(job) for job in ("exited", "late", "paused", "kept")}
        assert ends["exited"].outcome.exit_code == 3
        assert ends["late"].state is JobState.TIMED_OUT
        assert ends["paused"].state is JobState.TIMED_OUT
        assert ends["kept"].state is JobState.SUCCEEDED
        assert spawner.status("created").state is JobState.LOST
        running(spawner, "busy")
        assert {d.action for d in spawner.reap()} == {"keep"}


def test_reap_leaves_what_is_not_ours(case: DockerCase) -> None:
    """Containers without our labels, and those of another instance, stay as they are."""
    case.plant("unlabelled")
    case.plant("ended", "true")
    other = {LABEL_INSTANCE: "somebody-else", LABEL_DEADLINE: "0.001"}
    made(case, "run", "theirs", "sleep", "600", **other)
    made(case, "create", "theirs-too", "true", **other)
    partly = f"{case.prefix}-partly"
    case.docker(
        *("run", "-d", "--name", partly, "--label", f"{LABEL_INSTANCE}={case.instance}"),
        *(BUSYBOX, "sleep", "600"),
    )
    eventually(lambda: case.inspect("ended")["State"]["Status"] == "exited")
    names = ("unlabelled", "ended", "theirs", "theirs-too", "partly")
    before = {name: case.inspect(name) for name in names}
    with case.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        assert spawner.reap() == []
        assert spawner.list() == []
    assert {name: case.inspect(name) for name in names} == before
