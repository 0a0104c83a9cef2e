"""The command is told to end while a spawn hangs: by signal, and from a second shell."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_case import PATIENCE, DockerCase, eventually
from docker_images import BUSYBOX
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("docker")

STEPS = ("pull", "helper", "retry")
WORDS = {
    "pull": "cancelled while pulling",
    "helper": "cancelled while pulling",
    "retry": "cancelled while looking whether job job was created",
}
"""What is said of a job that was stopped in that step."""


class Hanging:
    """A command whose spawn hangs in a step.

    Args:
        case: Where it runs.
        image: What it asks for.
        reached: Tells whether the step was reached.
        helper: The process id of the credential helper, where there is one.

    Attributes:
        over: Lets the engine answer again.
    """

    def __init__(
        self, case: DockerCase, image: str, reached: Callable[[], object], helper: Path | None
    ) -> None:
        self.helper = helper
        self.over: Callable[[], None] = lambda: None
        self.process = case.start(
            *("-m", "spawnery", "run", "--job-id", "job", "--image", image, "--", "true")
        )
        eventually(reached)

    def ended(self) -> str:
        """Wait until it has ended, long before the step would; returns what it wrote."""
        _out, err = self.process.communicate(timeout=PATIENCE / 2)
        self.over()
        return err.decode()


@pytest.fixture(params=STEPS)
def hangs(
    request: pytest.FixtureRequest, case: DockerCase, docker_engine: str
) -> Iterator[tuple[str, Hanging]]:
    """A step, and a command that hangs there for minutes."""
    step = request.param
    helper = case.folder / "pid"
    if step == "helper":
        plant_helper(case, helper)
        yield step, Hanging(case, "127.0.0.1:9/x:1", helper.exists, helper)
    elif step == "pull":
        host, asked = request.getfixturevalue("hanging")
        yield step, Hanging(case, f"{host}/x:1", asked.is_set, None)
    else:
        with TransportProxy(docker_engine) as way:
            # The request is lost, and whether it had an effect cannot be found out.
            way.arm(Rule(Fault.DROP_BEFORE, method="POST", path="/containers/create"))
            way.arm(Rule(Fault.DROP_BEFORE, path=f"/containers/{case.prefix}-job/json"))
            case.environ["DOCKER_HOST"] = way.address
            case.environ["SPAWNERY_IO_TIMEOUT_SECONDS"] = "300"
            looks = ("GET", f"/containers/{case.prefix}-job/json")
            command = Hanging(case, BUSYBOX, lambda: way.count(*looks) > 3, None)
            command.over = way.clear
            yield step, command


def plant_helper(case: DockerCase, pid: Path) -> None:
    """Let the docker command's file name a credential helper that hangs."""
    here = case.folder / "bin"
    here.mkdir()
    program = here / "docker-credential-slow"
    program.write_text(f"#!/bin/sh\necho $$ >{pid}.draft\nmv {pid}.draft {pid}\nsleep 300\n")
    program.chmod(0o755)
    (case.folder / ".docker").mkdir()
    (case.folder / ".docker" / "config.json").write_text(json.dumps({"credsStore": "slow"}))
    case.environ["PATH"] = f"{here}:{case.environ['PATH']}"


def runs(pid: int) -> bool:
    """Tell whether a process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def nothing_left(case: DockerCase, command: Hanging) -> None:
    """Check that neither a container nor the helper stays, and what other shells are told."""
    assert case.containers() == set()
    if command.helper is not None:
        eventually(lambda: not runs(int(command.helper.read_text())))
    shown = json.loads(case.cli("--json", "status", "job").stdout)
    assert shown["state"] == "CANCELLED"
    assert case.cli("reap").returncode == 0
    assert case.containers() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal(case: DockerCase, hangs: tuple[str, Hanging], number: signal.Signals) -> None:
    """``run`` that gets a signal ends at once, says in which step it was, and leaves nothing."""
    step, command = hangs
    command.process.send_signal(number)
    said = command.ended()
    assert WORDS[step] in said, said
    assert command.process.returncode == 130
    nothing_left(case, command)


def test_a_stop_from_a_second_shell(case: DockerCase, hangs: tuple[str, Hanging]) -> None:
    """``stop`` ends the spawn of another process; both commands say what it was doing."""
    step, command = hangs
    stopping = case.start("-m", "spawnery", "stop", "--grace", "0", "job")
    said = command.ended()
    _out, err = stopping.communicate(timeout=PATIENCE)
    assert stopping.returncode == 0, err
    assert WORDS[step] in said, said
    assert command.process.returncode == 130
    nothing_left(case, command)
