"""The command line on the fake spawner, whose jobs are scripted: what ``local`` cannot show."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cli

LIMIT = 60.0


@pytest.fixture
def fake(cli: Cli, tmp_path: Path) -> Cli:
    """The command on a fake engine that is a file."""
    cli.env["SPAWNER_TYPE"] = "fake"
    cli.env["SPAWNERY_FAKE_ENGINE"] = str(tmp_path / "engine")
    return cli


def error_of(done: Any) -> dict[str, Any]:
    """Return the error that a command told as JSON."""
    assert done.returncode == 125, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])["error"]
    return found


def test_a_run(fake: Cli) -> None:
    """Log, outcome and exit code, as on any engine."""
    done = fake("run", "--image", "x", "--job-id", "demo", "--", "print:hi", "err:oops", "exit:3")
    assert (done.returncode, done.stdout) == (3, b"hi\n")
    assert done.stderr.startswith(b"oops\n")
    assert b"demo: FAILED, exit code 3" in done.stderr


@pytest.mark.parametrize(
    ("script", "expected", "state"),
    [
        (["oom"], 137, "FAILED"),
        (["signal:15"], 143, "FAILED"),
        (["sleep:60"], 124, "TIMED_OUT"),
        (["trap-term:0", "sleep:60"], 124, "TIMED_OUT"),
    ],
)
def test_ends_of_a_job(fake: Cli, script: list[str], expected: int, state: str) -> None:
    """Each end has its exit code, and its state in the document."""
    flags = ["--image", "x", "--deadline-seconds", "2"]
    done = fake("run", "--json", *flags, "--", *script)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["exit_status"]) == (expected, expected)
    assert last["outcome"]["state"] == state


def test_a_job_that_is_lost(fake: Cli) -> None:
    """An object that vanished is no success."""
    option = "fake.lost_after_seconds=0.3"
    done = fake("run", "--image", "x", "--option", option, "--", "print:hi", "sleep:60")
    assert done.returncode == 125
    assert b"LOST" in done.stderr


def test_a_missing_image(fake: Cli) -> None:
    """The engine's refusal is told with its cause; nothing stays."""
    done = fake("run", "--json", "--image", "nope", "--option", "fake.missing_image=true", "true")
    assert error_of(done)["cause"] == "image.not_found"
    assert fake.json("ps", "-a") == []


def test_a_program_that_does_not_exist(fake: Cli) -> None:
    """As on every engine: 127."""
    assert fake("run", "--image", "x", "no-such-program").returncode == 127


def test_an_option_that_the_engine_does_not_know(fake: Cli) -> None:
    """With the field and the near miss."""
    done = fake("run", "--json", "--image", "x", "--option", "fake.missing_imag=true", "true")
    error = error_of(done)
    assert error["field"].startswith("options.fake")
    assert "missing_image" in error["message"] + (error["hint"] or "")


def test_a_job_that_is_held_back(fake: Cli, eventually: Callable[[Callable[[], Any]], Any]) -> None:
    """It is seen where it stands, and can be stopped before it ever ran."""
    options = ["--option", "fake.slow_start_seconds=600"]
    fake.ok("spawn", "--job-id", "demo", "--image", "x", *options, "true")
    eventually(lambda: fake.json("status", "demo")["state"] == "PENDING")
    assert fake.ok("ps").split("\t")[:2] == ["demo", "PENDING"]
    assert fake.ok("stop", "demo") == "demo\n"
    assert fake("wait", "demo").returncode == 130


def test_ctrl_c_before_the_program_runs(fake: Cli) -> None:
    """A job that hangs in its start is given up all the same."""
    flags = ["--job-id", "demo", "--image", "x", "--option", "fake.slow_start_seconds=600"]
    process = fake.start("run", "-v", *flags, "true")
    assert process.stderr is not None
    while b"spawned" not in (line := process.stderr.readline()):
        assert line, "ended before it spawned"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert fake.json("status", "demo")["state"] == "CANCELLED"


def test_plan_names_unused_options(fake: Cli) -> None:
    """Options of another engine are allowed, and shown as unused."""
    flags = ["--image", "x", "--option", "docker.init=true"]
    assert fake.json("plan", *flags, "true")["unused_options"]
    assert "docker" in fake.ok("plan", *flags, "true")
