"""What the command says while a job cannot start, and at the end of one that never did."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cli

LIMIT = 60.0
HELD = (
    *("--image", "x", "--option", "fake.pending_cause=unschedulable"),
    *("--option", "fake.pending_message=no node has enough memory"),
)
FOREVER = (*HELD, "--option", "fake.slow_start_seconds=600")
QUEUED = (*HELD, "--option", "fake.queued_seconds=600")


@pytest.fixture
def fake(cli: Cli, tmp_path: Path) -> Cli:
    """The command on a fake engine that is a file."""
    cli.env["SPAWNER_TYPE"] = "fake"
    cli.env["SPAWNERY_FAKE_ENGINE"] = str(tmp_path / "engine")
    return cli


def told(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    """Read stderr up to a line with these words; returns what came before it too."""
    assert process.stderr is not None
    found = b""
    while words not in (line := process.stderr.readline()):
        assert line, found
        found += line
    return found + line


@pytest.mark.parametrize(
    ("flags", "state"), [(FOREVER, b"waits to start"), (QUEUED, b"is held back")]
)
def test_run_says_what_it_waits_for(fake: Cli, flags: tuple[str, ...], state: bytes) -> None:
    """The reason comes while the job waits, once; after Ctrl-C the end has it too."""
    process = fake.start("run", "--job-id", "demo", *flags, "--", "true")
    first = told(process, b"no node has enough memory [unschedulable]")
    assert state in first
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert b"before it started: no node has enough memory" in err
    assert err.count(b"no node has enough memory") == 1
    assert b"no log" not in err


@pytest.mark.parametrize("verb", [["wait"], ["logs", "-f"]])
def test_others_say_it_too(fake: Cli, verb: list[str]) -> None:
    """A second shell that waits or follows is told the same, and how it ended."""
    fake.ok("spawn", "--job-id", "demo", *FOREVER, "--", "true")
    process = fake.start(*verb, "demo")
    told(process, b"no node has enough memory [unschedulable]")
    fake.ok("stop", "demo")
    _, err = process.communicate(timeout=LIMIT)
    assert b"demo: CANCELLED: stopped on request before it started: no node" in err


def test_a_job_that_starts_after_all(fake: Cli) -> None:
    """It is said that it runs; its own output and exit code are as ever."""
    slow = (*HELD, "--option", "fake.slow_start_seconds=3")
    done = fake("run", *slow, "--", "sleep:4", "print:hi", "exit:3")
    assert (done.returncode, done.stdout) == (3, b"hi\n")
    assert done.stderr.count(b"no node has enough memory") == 1
    assert b" runs\n" in done.stderr


def test_a_start_at_once_is_not_talked_about(fake: Cli) -> None:
    """What every job passes on its way is no news."""
    soon = (*HELD, "--option", "fake.slow_start_seconds=0.3")
    done = fake("run", *soon, "--", "print:hi")
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    assert b"no node" not in done.stderr


def test_quiet_and_json_stay_so(fake: Cli) -> None:
    """With -q and with --json nothing is said on the way."""
    slow = (*HELD, "--option", "fake.slow_start_seconds=3")
    for flag in ("-q", "--json"):
        assert fake("run", flag, *slow, "--", "true").stderr == b""


def test_an_empty_log_is_explained(fake: Cli) -> None:
    """Without -f too: the job has not started, and why."""
    fake.ok("spawn", "--job-id", "demo", *FOREVER, "--", "true")
    done = fake("logs", "demo")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"demo waits to start: no node has enough memory [unschedulable]" in done.stderr


@pytest.mark.parametrize("verb", [["logs"], ["logs", "-f"], ["wait"]])
def test_a_job_that_never_ran_is_no_missing_log(fake: Cli, verb: list[str]) -> None:
    """Its object is gone with a log that never was: the reason comes, and nothing before it."""
    flags = (*FOREVER, "--start-deadline-seconds", "1")
    fake.ok("spawn", "--job-id", "demo", *flags, "--", "true")
    assert fake("wait", "demo").returncode == 124
    done = fake(*verb, "demo")
    first, *_ = done.stderr.splitlines()
    assert first.startswith(b"demo: TIMED_OUT: did not start in time: no node has enough memory")
    assert b"not here" not in done.stderr
    assert done.stderr.count(b"no node has enough memory") == 1
    assert done.returncode == (124 if verb == ["wait"] else 0)


def test_a_followed_job_that_is_given_up(fake: Cli) -> None:
    """The end of the log is that of the job: the last line says how it ended."""
    fake.ok("spawn", "--job-id", "demo", *FOREVER, "--start-deadline-seconds", "4", "--", "true")
    done = fake("logs", "-f", "demo")
    assert b"waits to start" in done.stderr
    assert b"demo: TIMED_OUT: did not start in time" in done.stderr
    assert b"is PENDING" not in done.stderr


def test_a_program_that_could_not_be_started(cli: Cli) -> None:
    """The local engine's log of it is empty, and says why."""
    cli.ok("spawn", "--job-id", "demo", "--retention-seconds", "60", "--", "/no/such/program")
    done = cli("logs", "-f", "demo")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"demo: FAILED: the program /no/such/program was not found")


def test_an_engine_that_cannot_be_reached_is_not_waited_for(cli: Cli, tmp_path: Path) -> None:
    """The error comes at once with its hint, not as something that is tried again."""
    cli.env["SPAWNER_TYPE"] = "docker"
    cli.env["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    done = cli("wait", "demo")
    assert done.returncode == 125
    assert done.stderr.startswith(b"error: no Docker engine answers at")
    assert b"trying again" not in done.stderr


def test_a_job_that_another_process_is_creating(
    fake: Cli, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    """A second shell sees it as pending, waits for it, and gets its whole log when it runs."""
    slow = (*("--option", "fake.hang_before=create"), *("--option", "fake.hang_seconds=20"))
    run = fake.start(
        "run", "--job-id", "demo", "--image", "x", *slow, "--", "print:hi", "sleep:5", "exit:3"
    )
    eventually(lambda: b"demo" in fake("ps").stdout)
    follow, wait = fake.start("logs", "-f", "demo"), fake.start("wait", "demo")
    assert fake.ok("ps").split("\t")[:2] == ["demo", "PENDING"]
    status = fake.json("status", "demo")
    assert (status["state"], status["cause"]) == ("PENDING", "creating")
    assert "another process is creating it" in status["message"]
    for process in (follow, wait):
        line = told(process, b"another process is creating it, or pulling its image, since ")
        assert line.endswith(b" [creating]\n")
    assert run.communicate(timeout=LIMIT)[0] == b"hi\n"
    assert follow.communicate(timeout=LIMIT)[0] == b"hi\n"
    assert wait.wait(timeout=LIMIT) == run.returncode == 3


def test_a_job_that_is_never_created(
    fake: Cli, eventually: Callable[[Callable[[], Any]], Any]
) -> None:
    """Who follows it is told so when its spawn has failed."""
    slow = (*("--option", "fake.hang_before=create"), *("--option", "fake.hang_seconds=600"))
    run = fake.start("run", "--job-id", "demo", "--image", "x", *slow, "--", "print:hi")
    eventually(lambda: b"demo" in fake("ps").stdout)
    follow = fake.start("logs", "-f", "demo")
    told(follow, b"[creating]")
    run.kill()
    run.wait(timeout=LIMIT)
    _, err = follow.communicate(timeout=LIMIT)
    assert follow.returncode == 125
    assert b"demo was not created: the process that spawned it is gone" in err
    assert b"no living process is creating it" in fake("status", "demo").stdout
