"""What a second shell is told of a job whose image is being pulled by another process."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from docker_case import PATIENCE, DockerCase, eventually
from registry import Answer, BadRegistry, bad_registry, make_image

pytestmark = pytest.mark.engine("docker")

SCRIPT = ("/bin/sh", "-c", "echo hi; sleep 5; exit 3")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Set when the registry may answer."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def registry(gate: threading.Event) -> Iterator[BadRegistry]:
    """A registry that hangs until the gate is open."""
    with bad_registry() as registry:

        def answer(_method: str, path: str) -> Answer | None:
            if "/blobs/" in path:  # the engine waits for what comes before for some seconds only
                gate.wait(PATIENCE * 4)
            return None

        registry.answer = answer
        registry.images["team/job"] = make_image(padding=4_000_000)
        yield registry


@pytest.fixture
def name(case: DockerCase, registry: BadRegistry) -> Iterator[str]:
    """The name of an image of the registry, which goes away afterwards."""
    name = f"{registry.host}/team/job:1"
    yield name
    with suppress(RuntimeError, subprocess.CalledProcessError, AssertionError):
        case.docker("image", "rm", "-f", name)


def started(case: DockerCase, *words: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    return case.start("-m", "spawnery", *words)


def told(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    """Read stderr up to a line with these words."""
    assert process.stderr is not None
    found = b""
    while words not in (line := process.stderr.readline()):
        assert line, found
        found += line
    return line


def status(case: DockerCase, job_id: str = "job") -> Any:
    """Return what ``status --json`` says."""
    done = case.cli("--json", "status", job_id)
    return json.loads(done.stdout) if done.returncode == 0 else {"cause": None, "state": None}


def test_a_pull_that_hangs(case: DockerCase, name: str, gate: threading.Event) -> None:
    """It is pending, with image and time, in every verb; afterwards all goes on as ever."""
    run = started(case, "run", "--job-id", "job", "--image", name, "--", *SCRIPT)
    eventually(lambda: status(case)["cause"] == "image.pulling")
    seen = status(case)
    assert (seen["state"], seen["message"]) == ("PENDING", f"pulling {name}")
    assert seen["since"] is not None
    listed = case.cli("ps").stdout.split("\t")
    assert (listed[0], listed[1], listed[4].strip()) == ("job", "PENDING", "image.pulling")
    assert f"pulling {name}" in case.cli("status", "job").stdout
    others = [started(case, "logs", "-f", "job"), started(case, "wait", "job")]
    for other in others:
        line = told(other, b"[image.pulling]").decode()
        assert line.startswith(f"job waits to start: pulling {name}, since ")
    plain = case.cli("logs", "job")
    assert (plain.returncode, plain.stdout) == (0, "")
    assert f"job waits to start: pulling {name}" in plain.stderr
    gate.set()
    assert run.communicate(timeout=PATIENCE * 2)[0] == b"hi\n"
    follow, wait = others
    assert follow.communicate(timeout=PATIENCE)[0] == b"hi\n"
    assert wait.wait(timeout=PATIENCE) == run.returncode == 3


def test_how_far_a_pull_is(
    case: DockerCase, name: str, registry: BadRegistry, gate: threading.Event
) -> None:
    """While bytes come, a second shell sees how many."""
    registry.pause = 0.5
    gate.set()
    started(case, "run", "--job-id", "job", "--image", name, "--", "/bin/true")
    progress = eventually(lambda: status(case).get("progress"))
    current, _, total = progress.removesuffix(" MB").partition(" of ")
    assert 0 <= float(current) <= float(total)
    assert 4.0 < float(total) < 6.0
    case.cli("stop", "--grace", "0", "job")
    assert (status(case)["state"], status(case)["progress"]) == ("CANCELLED", None)


def test_a_credential_helper_that_hangs(case: DockerCase) -> None:
    """It is named, with the registry that it is asked for."""
    here = case.folder / "bin"
    here.mkdir()
    helper = here / "docker-credential-slow"
    helper.write_text("#!/bin/sh\nsleep 300\n")
    helper.chmod(0o755)
    (case.folder / ".docker").mkdir()
    (case.folder / ".docker" / "config.json").write_text(json.dumps({"credsStore": "slow"}))
    case.environ["PATH"] = f"{here}:{case.environ['PATH']}"
    started(case, "run", "--job-id", "job", "--image", "127.0.0.1:9/x:1", "--", "true")
    eventually(lambda: status(case)["cause"] == "image.pulling")
    said = status(case)["message"]
    assert said == "asking the credential helper docker-credential-slow for 127.0.0.1:9"
    case.cli("stop", "--grace", "0", "job")


def test_a_pull_that_fails_for_who_waits(
    case: DockerCase, name: str, registry: BadRegistry, gate: threading.Event
) -> None:
    """Who waits or follows is told that the job was never created."""
    run = started(case, "run", "--job-id", "job", "--image", name, "--", "/bin/true")
    eventually(lambda: status(case)["cause"] == "image.pulling")
    others = [started(case, "logs", "-f", "job"), started(case, "wait", "job")]
    for other in others:
        told(other, b"[image.pulling]")
    registry.corrupt = True
    gate.set()
    run.communicate(timeout=PATIENCE * 2)
    assert run.returncode == 125
    for other in others:
        _, err = other.communicate(timeout=PATIENCE)
        assert other.returncode == 125
        assert b"error: job job was not created: its spawn failed\n" in err
