"""``SPAWNER_TYPE=docker`` and nothing else: what a user of the command sees in the engine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api_versions import Versions, engine_of_versions
from docker_case import PATIENCE, DockerCase, eventually, output, running, sh
from docker_images import BUSYBOX
from spawnery.errors import SpawnFailed
from spawnery.model import JobSpec, JobState, Resources, generate_job_id

pytestmark = pytest.mark.engine("docker")

_MIB = 1024 * 1024
OWN, NEWER = "own-api", "api-1.52"
JOB = ("--image", BUSYBOX, "--job-id")


@pytest.fixture(params=[OWN, NEWER])
def case(
    request: pytest.FixtureRequest, tmp_path: Path, docker_engine: str
) -> Iterator[DockerCase]:
    """A corner of the engine as it is, and of one that speaks API 1.44 to 1.52."""
    made = DockerCase(tmp_path, docker_engine)
    if request.param == OWN:
        yield made
        made.close()
        return
    with engine_of_versions(docker_engine.removeprefix("unix://"), Versions()) as address:
        made.environ["DOCKER_HOST"] = address
        yield made
        made.close()


def test_the_container_is_agentsmith_and_seen_by_docker_ps(case: DockerCase) -> None:
    """A job is the container agentsmith-{job_id}, which docker ps shows; rm removes it."""
    job = generate_job_id()
    del case.environ["SPAWNERY_NAME_PREFIX"]
    case.prefix = "agentsmith"
    done = case.cli("spawn", *JOB, job, "--", "sleep", "600")
    assert (done.returncode, done.stdout) == (0, f"{job}\n"), done.stderr
    form = "{{.Names}} {{.Image}} {{.State}}"
    shown = case.docker("ps", "--filter", f"name=^/agentsmith-{job}$", "--format", form)
    assert shown == f"agentsmith-{job} {BUSYBOX} running"
    assert case.cli("rm", "--force", job).returncode == 0
    assert case.docker("ps", "-aq", "--filter", f"name=^/agentsmith-{job}$") == ""


def test_the_prefix_is_a_setting(case: DockerCase) -> None:
    """SPAWNERY_NAME_PREFIX names the containers."""
    with case.open(SPAWNERY_NAME_PREFIX=case.prefix) as spawner:
        handle = spawner.spawn(sh("sleep 600"))
        assert handle.name == f"{case.prefix}-{handle.job_id}"
        assert case.inspect(handle.job_id)["Id"] == handle.engine_id
        spawner.remove(handle.job_id, force=True)


def test_the_container_removes_itself_and_its_code_is_known(case: DockerCase) -> None:
    """``run`` exits as the job did, nothing stays in the engine, and the end is remembered."""
    done = case.cli("run", *JOB, "once", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n"), done.stderr
    assert done.stderr.startswith("err\n")
    eventually(lambda: not case.containers())
    known = json.loads(case.cli("--json", "status", "once").stdout)
    assert (known["state"], known["outcome"]["exit_code"]) == ("FAILED", 7)


def test_auto_remove_is_the_default_of_the_library(case: DockerCase) -> None:
    """Without retention the engine itself removes the container."""
    with case.open() as spawner:
        job = spawner.spawn(sh("sleep 600")).job_id
        shown = case.inspect(job)["HostConfig"]
        assert shown["AutoRemove"] is True
        assert shown["RestartPolicy"]["Name"] == "no"
        case.docker("kill", "--signal", "TERM", f"{case.prefix}-{job}")
        assert spawner.wait(job, PATIENCE).state is JobState.FAILED


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", [OWN], indirect=True)
def test_two_hundred_fast_exits(case: DockerCase) -> None:
    """Of 200 jobs that end at once and remove themselves every exit code is the right one."""
    with case.open() as spawner:

        def code(number: int) -> int | None:
            job = spawner.spawn(sh(f"exit {number % 256}", network="none")).job_id
            return spawner.wait(job, PATIENCE * 2).exit_code

        with ThreadPoolExecutor(4) as pool:
            codes = list(pool.map(code, range(156, 356)))
    assert codes == [number % 256 for number in range(156, 356)]
    eventually(lambda: not case.containers())


def test_our_own_variables_are_forwarded_as_secrets(case: DockerCase) -> None:
    """Names and globs choose what every job gets; the values are in no output of ours."""
    value = secrets.token_hex(12)
    own = {
        "SPAWNERY_FORWARD_SECRETS": "ANTHROPIC_*,GH_TOKEN",
        "ANTHROPIC_API_KEY": value,
        "ANTHROPIC_BASE": f"{value}-base",
        "GH_TOKEN": f"{value}-gh",
        "GH_TOKEN_OTHER": f"{value}-not",
    }
    done = case.cli("spawn", *JOB, "keys", "--", "sleep", "600", **own)
    assert done.returncode == 0, done.stderr
    env = dict(pair.split("=", 1) for pair in case.inspect("keys")["Config"]["Env"])
    assert env["ANTHROPIC_API_KEY"] == value
    assert env["ANTHROPIC_BASE"] == f"{value}-base"
    assert env["GH_TOKEN"] == f"{value}-gh"
    assert env["JOB_ID"] == "keys"
    assert "GH_TOKEN_OTHER" not in env
    shown = case.cli("--json", "status", "keys", **own)
    assert value not in done.stdout + done.stderr + shown.stdout + shown.stderr
    assert value not in json.dumps(case.inspect("keys")["Config"]["Labels"])


@pytest.fixture
def network(case: DockerCase) -> Iterator[str]:
    """A network of the test's own."""
    name = f"{case.prefix}-net"
    case.docker("network", "create", name)
    yield name
    for container in case.containers():
        case.docker("rm", "-f", container)
    case.docker("network", "rm", name)


def test_docker_network_is_joined_and_a_service_reached_by_name(
    case: DockerCase, network: str
) -> None:
    """A job on DOCKER_NETWORK talks to another container of it by that one's name."""
    service = f"{case.prefix}-service"
    serve = "while :; do echo hello from it | nc -l -p 8080; done"
    case.docker("run", "-d", "--name", service, "--network", network, BUSYBOX, "sh", "-c", serve)
    ask = f"until nc -w 5 {service} 8080; do sleep 0.1; done"
    with case.open(DOCKER_NETWORK=network) as spawner:
        assert output(spawner, sh(ask, deadline_seconds=PATIENCE)) == "hello from it\n"
        handle = spawner.spawn(sh("sleep 600"))
        assert set(case.inspect(handle.job_id)["NetworkSettings"]["Networks"]) == {network}
        spawner.remove(handle.job_id, force=True)
        spec = sh("sleep 600", network="none")
        assert set(case.inspect(spawner.spawn(spec).job_id)["NetworkSettings"]["Networks"]) == {
            "none"
        }


LIMITS = {
    "defaults": (None, (1024 * _MIB, 512 * _MIB, 1_000_000_000, 256)),
    "set": (
        Resources(
            memory_request="64Mi", memory_limit="100M", cpu_request="500m", cpu_limit="1500m"
        ),
        (100_000_000, 64 * _MIB, 1_500_000_000, 512),
    ),
    "request above the default limit": (
        Resources(memory_request="2Gi", cpu_request="2"),
        (2048 * _MIB, 2048 * _MIB, 2_000_000_000, 2048),
    ),
    "limit below the default request": (
        Resources(memory_limit="32Mi", cpu_limit="100m"),
        (32 * _MIB, 32 * _MIB, 100_000_000, 102),
    ),
}


@pytest.mark.parametrize(("resources", "expected"), LIMITS.values(), ids=LIMITS.keys())
def test_limits_are_read_back_from_the_engine(
    case: DockerCase, resources: Resources | None, expected: tuple[int, ...]
) -> None:
    """Limits bound memory and processor time, requests reserve them; swap adds nothing."""
    with case.open() as spawner:
        handle = spawner.spawn(sh("sleep 600", resources=resources))
        shown = case.inspect(handle.job_id)["HostConfig"]
        spawner.remove(handle.job_id, force=True)
    names = ("Memory", "MemoryReservation", "NanoCpus", "CpuShares")
    assert tuple(shown[name] for name in names) == expected
    assert shown["MemorySwap"] == shown["Memory"]


def test_a_missing_image(case: DockerCase) -> None:
    """An image that is not there is named, with the way to get it; nothing stays."""
    image = f"spawnery-test/none-{case.prefix}:1"
    with case.open() as spawner:
        spec = JobSpec(image=image, command=["true"], job_id="missing", pull_policy="never")
        with pytest.raises(SpawnFailed) as caught:
            spawner.spawn(spec)
        assert caught.value.cause == "image.not_found"
        assert image in caught.value.message
        assert f"docker pull {image}" in (caught.value.hint or "")
        assert f"docker build -t {image}" in (caught.value.hint or "")
        assert caught.value.job_id == "missing"
        assert spawner.list() == []
        # The id is free: nothing of the attempt stays.
        assert spawner.spawn(sh("true", job_id="missing")).created
        spawner.wait("missing", PATIENCE)
    eventually(lambda: not case.containers())


def test_a_missing_network(case: DockerCase) -> None:
    """A network that is not there is named, with the way to make it; nothing stays."""
    name = f"{case.prefix}-none"
    done = case.cli("run", *JOB, "lonely", "--", "true", DOCKER_NETWORK=name)
    assert done.returncode == 125
    assert name in done.stderr
    assert "docker network create" in done.stderr
    assert "Traceback" not in done.stderr
    assert case.containers() == set()
    shown = json.loads(case.cli("--json", "status", "lonely").stdout)
    assert (shown["state"], shown["outcome"]["cause"]) == ("FAILED", "network.not_found")


def test_a_job_runs_after_the_spawner_was_closed(case: DockerCase) -> None:
    """Closing the spawner ends nothing in the engine."""
    with case.open() as spawner:
        job = spawner.spawn(sh("sleep 600")).job_id
    assert case.inspect(job)["State"]["Running"] is True
    with case.open() as spawner:
        running(spawner, job)
        spawner.remove(job, force=True)
