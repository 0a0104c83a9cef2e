"""How containers end, and what is said of it (promises P2 to P4)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from docker_case import PATIENCE, DockerCase, eventually, output, running, sh
from docker_images import BUSYBOX
from spawnery.errors import InvalidSpec, SpawnFailed
from spawnery.model import JobSpec, JobState, Outcome, Resources
from spawnery.spawner import Spawner
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy
from spawnery_docker.spawning import spawn as spawning

pytestmark = pytest.mark.engine("docker")

SMALL = Resources(memory_request="16Mi", memory_limit="16Mi")
HOG = "exec tail /dev/zero"
"""Reads one endless line into memory."""


@pytest.fixture
def spawner(case: DockerCase) -> Iterator[Spawner]:
    """A spawner of the case."""
    with case.open() as made:
        yield made


def ended(spawner: Spawner, spec: JobSpec) -> Outcome:
    """Run a job to its end."""
    return spawner.wait(spawner.spawn(spec).job_id, PATIENCE)


# -- codes, signals, memory ------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 42, 124, 125, 126, 127, 128, 130, 200, 255])
def test_exit_codes(case: DockerCase, spawner: Spawner, code: int) -> None:
    """The code is the program's own, also where shells and engines have a meaning for it."""
    outcome = ended(spawner, sh(f"exit {code}"))
    assert outcome.exit_code == code
    assert outcome.started_at is not None
    assert outcome.finished_at is not None
    assert outcome.started_at <= outcome.finished_at
    assert outcome.image_digest == case.docker("image", "inspect", "-f", "{{.Id}}", BUSYBOX)
    if code == 0:
        assert (outcome.state, outcome.cause) == (JobState.SUCCEEDED, "exit.zero")
    else:
        causes = {"exit.signal"} if code == 130 else {"exit.nonzero"}
        assert (outcome.state, outcome.cause in causes) == (JobState.FAILED, True)
        assert str(code) in outcome.message


@pytest.mark.parametrize(("name", "number"), [("SEGV", 11), ("TERM", 15), ("ABRT", 6)])
def test_a_signal(spawner: Spawner, name: str, number: int) -> None:
    """A program that a signal ended has 128 and the signal's number, and its name is told."""
    outcome = ended(spawner, sh(f"kill -{name} $$; sleep 600"))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "exit.signal")
    assert outcome.exit_code == 128 + number
    assert f"SIG{name}" in outcome.message


@pytest.mark.parametrize("retention", [0, 600])
def test_out_of_memory(spawner: Spawner, retention: int) -> None:
    """A program over its limit is oom: the engine saw it and the code is that of SIGKILL."""
    outcome = ended(spawner, sh(HOG, resources=SMALL, retention_seconds=retention))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "oom")
    assert (outcome.exit_code, outcome.oom) == (137, True)
    assert "resources.memory_limit=2Gi" in (outcome.hint or "")


@pytest.mark.parametrize("code", [0, 9])
def test_a_child_out_of_memory(spawner: Spawner, code: int) -> None:
    """Memory that ran out for a child is not how the job ended: its own code counts."""
    outcome = ended(spawner, sh(f"tail /dev/zero; echo went on; exit {code}", resources=SMALL))
    assert outcome.exit_code == code
    assert outcome.cause == ("exit.zero" if code == 0 else "exit.nonzero")
    if code:
        assert "went on" in (outcome.log_tail or "")
        assert "memory ran out for one of its processes" in outcome.message


# -- starts that fail ------------------------------------------------------------------------

FAILURES = {
    "command not found": ({"command": ["/no/such/program"]}, "start.command_not_found"),
    "not on the path": ({"command": ["nosuchprogram"]}, "start.command_not_found"),
    "not executable": ({"command": ["/etc/passwd"]}, "start.not_executable"),
    "a folder": ({"command": ["/tmp"]}, "start.not_executable"),
    "workdir is a file": ({"command": ["true"], "workdir": "/etc/passwd"}, "start.workdir"),
    "unknown user": ({"command": ["true"], "user": "nobody-here"}, "start.failed"),
    "unknown runtime": (
        {"command": ["true"], "options": {"docker": {"runtime": "nosuch"}}},
        "start.failed",
    ),
    "bad mount": (
        {"command": ["true"], "options": {"docker": {"tmpfs": {"/etc/passwd": "1Mi"}}}},
        "start.failed",
    ),
    "no gpu": ({"command": ["true"], "resources": Resources(gpus=1)}, "start.failed"),
}


@pytest.mark.parametrize("retention", [0, 600])
@pytest.mark.parametrize(("fields", "cause"), FAILURES.values(), ids=FAILURES.keys())
def test_a_start_that_fails(
    case: DockerCase, spawner: Spawner, fields: dict[str, object], cause: str, retention: int
) -> None:
    """A job that cannot start is FAILED with the reason and a next step, and nothing stays."""
    spec = JobSpec(image=BUSYBOX, retention_seconds=retention, **fields)  # type: ignore[arg-type]
    found: Outcome | SpawnFailed
    try:
        found = ended(spawner, spec)
        assert found.state is JobState.FAILED
        assert found.started_at is None or found.exit_code in {126, 127}
    except SpawnFailed as error:
        # What the engine refuses to create is an error of spawn; the id is free.
        found = error
        assert spawner.list() == []
    assert found.cause == cause, found
    assert found.message
    assert found.hint
    if retention == 0:
        eventually(lambda: not case.containers())


ENGINE_ALONE = {
    "a device": (
        {"Devices": [{"PathOnHost": "/dev/nosuch", "PathInContainer": "/dev/nosuch"}]},
        "/dev/nosuch",
    ),
    "a mount's source": (
        {"Mounts": [{"Type": "bind", "Source": "/no/such/folder", "Target": "/x"}]},
        "/no/such/folder",
    ),
    "a limit": ({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2**40}]}, "rlimit"),
}
"""What no option of ours asks for: parts of the request, and a word of what the engine says."""


@pytest.mark.parametrize("retention", [0, 600])
@pytest.mark.parametrize("part", ENGINE_ALONE.values(), ids=ENGINE_ALONE.keys())
def test_the_engines_own_words_on_a_start_that_fails(
    case: DockerCase,
    spawner: Spawner,
    monkeypatch: pytest.MonkeyPatch,
    part: tuple[dict[str, object], str],
    retention: int,
) -> None:
    """Whatever the engine cannot start, its words are told, also where it removes the container."""
    asked, word = part
    asked_too(monkeypatch, asked)
    found: Outcome | SpawnFailed
    try:
        found = ended(spawner, sh("echo ran", retention_seconds=retention))
        assert (found.state, found.started_at) == (JobState.FAILED, None)
    except SpawnFailed as error:
        found = error
    assert found.cause == "start.failed"
    assert word in found.message
    assert "no reason" not in found.message
    if retention == 0:
        eventually(lambda: not case.containers())


@pytest.mark.parametrize("retention", [0, 600])
def test_a_port_that_is_taken(
    case: DockerCase, spawner: Spawner, monkeypatch: pytest.MonkeyPatch, retention: int
) -> None:
    """A port that another container has is what the engine says of the start."""
    name = f"{case.prefix}-other"
    case.docker("run", "-d", "--name", name, "-p", "127.0.0.1::80", BUSYBOX, "sleep", "600")
    port = case.docker("port", name, "80").rpartition(":")[2]
    binding = [{"HostIp": "127.0.0.1", "HostPort": port}]
    asked_too(monkeypatch, {"PortBindings": {"80/tcp": binding}}, ExposedPorts={"80/tcp": {}})
    outcome = ended(spawner, sh("echo ran", network="bridge", retention_seconds=retention))
    assert (outcome.state, outcome.started_at) == (JobState.FAILED, None)
    assert (outcome.cause, f":{port}" in outcome.message) == ("start.failed", True)


def asked_too(monkeypatch: pytest.MonkeyPatch, host: dict[str, object], **body: object) -> None:
    """Ask for more than our options know in each request for a container."""
    body_of = spawning.body_of

    def with_part(*given: Any, **more: Any) -> dict[str, Any]:
        made = body_of(*given, **more)
        return {**made, **body, "HostConfig": {**made["HostConfig"], **host}}

    monkeypatch.setattr(spawning, "body_of", with_part)


NEVER_RAN = {
    "mount": (["--option", 'docker.tmpfs={"/etc/passwd":"1Mi"}', "--", "true"], 125),
    "runtime": (["--option", "docker.runtime=nosuch", "--", "true"], 125),
    "user": (["--user", "nobody-here", "--", "true"], 125),
    "workdir": (["--workdir", "/etc/passwd", "--", "true"], 125),
    "program": (["--", "/no/such"], 127),
    "program, no init": (["--option", "docker.init=false", "--", "/no/such"], 127),
    "not executable": (["--option", "docker.init=false", "--", "/etc/passwd"], 126),
}


@pytest.mark.parametrize(("words", "code"), NEVER_RAN.values(), ids=NEVER_RAN.keys())
def test_run_of_what_never_runs(case: DockerCase, words: list[str], code: int) -> None:
    """``run`` exits as docker does, 125 to 127, with the reason; nothing stays."""
    done = case.cli("run", "--image", BUSYBOX, *words)
    assert done.returncode == code, done.stderr
    assert "no reason" not in done.stderr
    assert "hint: " in done.stderr
    assert case.containers() == set()


@pytest.mark.parametrize("retention", [0, 600])
@pytest.mark.parametrize("init", [True, False])
def test_a_script_without_its_interpreter(
    case: DockerCase, spawner: Spawner, init: bool, retention: int
) -> None:
    """A script with line ends CRLF, whose interpreter is not found, is told from a missing one."""
    image, folder = f"{case.prefix}/crlf:1", case.folder / "image"
    folder.mkdir()
    (folder / "run.sh").write_bytes(b"#!/bin/sh\r\necho hi\r\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY run.sh /run.sh\n")
    case.docker("build", "-q", "-t", image, str(folder))
    try:
        options = {"docker": {"init": init}}
        spec = JobSpec(
            image=image, command=["/run.sh"], options=options, retention_seconds=retention
        )
        outcome = ended(spawner, spec)
        assert (outcome.state, outcome.cause) == (JobState.FAILED, "start.command_not_found")
        assert "its first line" in outcome.message
        assert f"--entrypoint head {image} -n 1 /run.sh" in (outcome.hint or "")
        spawner.remove(spec.job_id, force=True)
    finally:
        case.docker("rmi", "-f", image)


def test_a_restart_that_failed_after_a_run(case: DockerCase, spawner: Spawner) -> None:
    """Of a job that ran, and that somebody could not start again, the log is there."""
    spec = sh(
        "echo said; rm /bin/sh; exit 7",
        security="baseline",
        retention_seconds=600,
        options={"docker": {"init": False}},
    )
    job = spawner.spawn(spec).job_id
    eventually(lambda: case.inspect(job)["State"]["Status"] == "exited")
    with pytest.raises(RuntimeError):
        case.docker("start", f"{case.prefix}-{job}")
    assert case.inspect(job)["State"]["Error"]
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "other")) as other:
        found = other.status(job).outcome
    assert found is not None
    assert (found.log_tail, found.log_tail_missing) == ("said\n", None)
    spawner.remove(job, force=True)


def test_a_command_line_in_one_word(spawner: Spawner) -> None:
    """A quoted command line is the name of one program: the words say so."""
    outcome = ended(spawner, JobSpec(image=BUSYBOX, command=["echo hi"]))
    assert outcome.cause == "start.command_not_found"
    assert "one word with spaces" in outcome.message
    assert outcome.hint == "give each word by itself, or the whole to a shell: sh -c SCRIPT"


ALIEN = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(44)
"""The header of a program for s390x."""


def test_a_program_for_another_processor(case: DockerCase, spawner: Spawner) -> None:
    """An image whose programs, its shell too, are for another processor is image.platform."""
    image, folder = f"{case.prefix}/alien:1", case.folder / "image"
    folder.mkdir()
    (folder / "alien").write_bytes(ALIEN)
    (folder / "alien").chmod(0o755)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY alien /alien\nCOPY alien /bin/sh\n")
    case.docker("build", "-q", "-t", image, str(folder))
    try:
        outcome = ended(spawner, JobSpec(image=image, command=["/alien"]))
        assert (outcome.state, outcome.cause) == (JobState.FAILED, "image.platform")
        assert "--platform" in (outcome.hint or "")
        eventually(lambda: not case.containers())
    finally:
        case.docker("rmi", "-f", image)


# -- ends that others made -------------------------------------------------------------------

UNSEEN = {(JobState.FAILED, "killed.external"), (JobState.LOST, "lost.missing")}


def test_a_container_that_somebody_killed(case: DockerCase, spawner: Spawner) -> None:
    """docker kill of a running job is killed.external: the code is known, the reason is not."""
    job = spawner.spawn(sh("sleep 600")).job_id
    running(spawner, job)
    case.docker("kill", f"{case.prefix}-{job}")
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "killed.external")
    assert outcome.exit_code == 137
    assert "memory likely ran out" in (outcome.hint or "")


def test_a_container_that_somebody_removed(case: DockerCase, spawner: Spawner) -> None:
    """docker rm -f of a running job is a kill from outside, or LOST; never a success."""
    job = spawner.spawn(sh("sleep 600", retention_seconds=600)).job_id
    running(spawner, job)
    case.docker("rm", "-f", f"{case.prefix}-{job}")
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) in UNSEEN


def test_a_container_that_went_unseen(case: DockerCase) -> None:
    """A container that was removed while no process lived is no success for whoever asks."""
    with case.open() as spawner:
        job = spawner.spawn(sh("sleep 600", retention_seconds=600)).job_id
    case.docker("rm", "-f", f"{case.prefix}-{job}")
    with case.open() as spawner:
        outcome = spawner.wait(job, PATIENCE)
        # The engine still tells of what was a moment ago.
        assert (outcome.state, outcome.cause) in UNSEEN
        assert spawner.status(job).outcome == outcome


def test_a_paused_container(case: DockerCase, spawner: Spawner) -> None:
    """A paused job runs; when it is let go on it ends as it would have, and a stop ends it."""
    job = spawner.spawn(sh("sleep 600; exit 8")).job_id
    running(spawner, job)
    case.docker("pause", f"{case.prefix}-{job}")
    with case.open() as other:
        assert other.status(job).state is JobState.RUNNING
    case.docker("unpause", f"{case.prefix}-{job}")
    case.docker("exec", "-d", f"{case.prefix}-{job}", "killall", "sleep")
    assert spawner.wait(job, PATIENCE).exit_code == 8
    second = spawner.spawn(sh("sleep 600")).job_id
    running(spawner, second)
    case.docker("pause", f"{case.prefix}-{second}")
    assert spawner.stop(second, grace_seconds=1).state is JobState.CANCELLED
    eventually(lambda: not case.containers())


def test_a_container_that_somebody_restarted(case: DockerCase, spawner: Spawner) -> None:
    """docker restart of a kept job: the first end counts, and it stays."""
    job = spawner.spawn(sh("sleep 600", retention_seconds=600)).job_id
    running(spawner, job)
    case.docker("restart", "-t", "0", f"{case.prefix}-{job}")
    outcome = spawner.wait(job, PATIENCE)
    assert outcome.state is JobState.FAILED
    assert outcome.exit_code in {137, 143}
    assert spawner.status(job).outcome == outcome


# -- profiles --------------------------------------------------------------------------------

ROOT_ONLY = "touch /etc/new || exit 3"


def test_an_image_that_needs_root(spawner: Spawner) -> None:
    """A program that is denied what its image's user root may is told both ways out."""
    outcome = ended(spawner, sh(ROOT_ONLY))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "security.root_image")
    assert outcome.exit_code == 3
    assert "user=1000" in (outcome.hint or "")
    assert "security=baseline" in (outcome.hint or "")


def test_an_image_that_needs_root_when_its_end_comes_late(
    led: DockerCase, proxy: TransportProxy
) -> None:
    """What the spawn itself knows is enough: no event and no list told of the job before."""
    spawned = threading.Event()

    def hold(seen: Seen) -> None:
        if re.search("/(_ping|events|containers/json)", seen.path):
            spawned.wait(PATIENCE)

    proxy.on_request = hold
    with led.open() as spawner:
        job = spawner.spawn(sh(ROOT_ONLY)).job_id
        spawned.set()
        assert spawner.wait(job, PATIENCE).cause == "security.root_image"


@pytest.mark.parametrize("fields", [{"security": "baseline"}, {"user": "0"}])
def test_the_ways_out_for_it(spawner: Spawner, fields: dict[str, str]) -> None:
    """With the baseline profile, and as a user that may, it succeeds."""
    assert output(spawner, sh(f"{ROOT_ONLY}; id -u", **fields)) == "0\n"


def test_a_denial_of_a_chosen_user_is_its_own(spawner: Spawner) -> None:
    """Who names a user is not told of the image's own."""
    assert ended(spawner, sh(ROOT_ONLY, user="1000")).cause == "exit.nonzero"


# -- retention -------------------------------------------------------------------------------


def test_a_kept_job_is_read_later_and_reaped(case: DockerCase) -> None:
    """Its outcome and log are there for any process until its time is over; then it goes."""
    done = case.cli(
        *("spawn", "--image", BUSYBOX, "--job-id", "kept", "--retention-seconds", "600"),
        *("--", "sh", "-c", "echo last words; exit 11"),
    )
    assert done.returncode == 0, done.stderr
    case.docker("wait", f"{case.prefix}-kept")
    assert case.inspect("kept")["HostConfig"]["AutoRemove"] is False
    assert case.cli("wait", "kept").returncode == 11
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "elsewhere")) as other:
        outcome = other.wait("kept", PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 11)
        assert outcome.log_tail == "last words\n"
        assert [d.action for d in other.reap()] == ["keep"]
    assert case.containers() == {f"{case.prefix}-kept"}


def test_reap_removes_what_was_kept_long_enough(case: DockerCase) -> None:
    """When its retention is over reap removes the container; the record keeps the outcome."""
    with case.open() as spawner:
        job = spawner.spawn(sh("exit 12", retention_seconds=1)).job_id
    container = f"{case.prefix}-{job}"
    eventually(lambda: not case.inspect(job)["State"]["Running"])
    with case.open() as reaper:
        eventually(lambda: reaper.reap() and container not in case.containers())
        assert reaper.status(job).outcome.exit_code == 12


@pytest.mark.parametrize("name", ["cpu_limit", "cpu_request"])
def test_more_cpus_than_the_engine_has(case: DockerCase, spawner: Spawner, name: str) -> None:
    """The field is named with what there is; neither a container nor a record is made."""
    there = case.docker("info", "--format", "{{.NCPU}}")
    spec = sh("true", job_id="wide", resources=Resources(**{name: "4096"}))
    with pytest.raises(InvalidSpec) as caught:
        spawner.spawn(spec)
    assert caught.value.field == f"resources.{name}"
    assert f"resources.{name}={there}" in (caught.value.hint or "")
    assert case.containers() == set()
    assert spawner.records.get("wide") is None
