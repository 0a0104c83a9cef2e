"""``spawnery run`` on the local engine."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

LIMIT = 60.0
TRAP = 'trap "echo stopping; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
STUBBORN = 'trap "echo no" TERM; echo ready; while :; do sleep 0.05; done'


def started(process: subprocess.Popen[bytes]) -> None:
    """Wait until the job says that it is ready."""
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


def test_the_streams_come_out_as_they_were_written(cli: Cli) -> None:
    """Bytes are unaltered, stdout and stderr apart, the end is told on stderr."""
    done = cli(
        "run", "--job-id", "demo", "--", "sh", "-c", r"printf 'a\377\000b'; echo oops >&2; exit 3"
    )
    assert done.returncode == 3
    assert done.stdout == b"a\xff\x00b"
    assert done.stderr.startswith(b"oops\n")
    assert b"demo: FAILED, exit code 3" in done.stderr


def test_success_is_exit_code_zero(cli: Cli) -> None:
    """With -q nothing is on stderr."""
    done = cli("run", "-q", "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")


def test_nothing_is_left_behind(cli: Cli) -> None:
    """Retention is zero: the ended job is gone from the engine, its outcome is remembered."""
    cli("run", "--job-id", "gone", "true")
    assert cli.json("status", "gone")["state"] == "SUCCEEDED"
    assert cli("logs", "gone").returncode == 125


def test_short_runs_leave_no_trace(cli: Cli, tmp_path: Path) -> None:
    """The removal of the ended job is complete when the command ends, and nothing is said."""
    for _ in range(12):
        done = cli("run", "-q", "true")
        assert (done.returncode, done.stderr) == (0, b"")
        assert list((tmp_path / "state" / "local" / "jobs").iterdir()) == []


def test_a_run_again_is_not_run_again(cli: Cli) -> None:
    """One id, one run: the remembered outcome is told, and that nothing new is run."""
    assert cli("run", "--job-id", "once", "--", "sh", "-c", "echo hi; exit 3").returncode == 3
    again = cli("run", "--job-id", "once", "--", "sh", "-c", "echo hi; exit 3")
    assert (again.returncode, again.stdout) == (3, b"")
    assert b"once was spawned before; nothing new is run" in again.stderr
    assert b"warning: no log to follow" in again.stderr


def test_a_long_output_is_whole(cli: Cli) -> None:
    """Not a byte of a flood is missing, and they are in order."""
    done = cli("run", "-q", "seq", "1", "200000")
    assert done.returncode == 0
    assert done.stdout == b"".join(b"%d\n" % n for n in range(1, 200001))


def test_output_comes_while_the_job_runs(cli: Cli) -> None:
    """A line is there before the job ends."""
    process = cli.start("run", "--", "sh", "-c", TRAP)
    started(process)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_job_gracefully(cli: Cli, number: signal.Signals) -> None:
    """The job gets its SIGTERM, its last words come out, the exit code is 130."""
    process = cli.start(
        *("run", "--job-id", "demo", "--", "sh", "-c", TRAP),
        # These tests may themselves run under nohup, and what is ignored is inherited.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    started(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert out == b"stopping\n"
    assert b"stopping demo" in err
    assert b"demo: CANCELLED" in err


def test_a_second_signal_kills(cli: Cli) -> None:
    """A job that will not stop does not keep its person waiting."""
    process = cli.start(
        "run",
        "--job-id",
        "demo",
        "--",
        "sh",
        "-c",
        STUBBORN,
        env={"SPAWNERY_STOP_GRACE_SECONDS": "600"},
    )
    started(process)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert b"killing demo" in err
    assert cli.json("status", "demo")["state"] == "CANCELLED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(cli: Cli, tmp_path: Path, number: signal.Signals) -> None:
    """The foreground's Ctrl-C does not end a background job, nor a hangup what nohup runs."""
    process = cli.start(
        *(
            "run",
            "--",
            "sh",
            "-c",
            f"echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done",
        ),
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )
    started(process)
    process.send_signal(number)
    (tmp_path / "go").touch()
    process.communicate(timeout=LIMIT)
    assert process.returncode == 0


def test_a_deadline_is_exit_code_124(cli: Cli) -> None:
    """The job is stopped by us, so its own exit code 0 does not count."""
    done = cli("run", "--deadline-seconds", "1", "--", "sh", "-c", TRAP)
    assert done.returncode == 124
    assert b"TIMED_OUT" in done.stderr


def test_a_program_that_is_not_there_is_exit_code_127(cli: Cli) -> None:
    """As with docker and the shell."""
    done = cli("run", "/no/such/program")
    assert done.returncode == 127
    assert b"/no/such/program" in done.stderr


def test_a_program_that_is_not_executable_is_exit_code_126(cli: Cli, tmp_path: Path) -> None:
    """As with docker and the shell."""
    (tmp_path / "text").write_text("x")
    assert cli("run", str(tmp_path / "text")).returncode == 126


def test_json_lines_end_with_the_outcome(cli: Cli) -> None:
    """Each piece is an object, bytes that are no text are in base64, the last is the outcome."""
    done = cli("run", "--json", "--job-id", "demo", "--", "sh", "-c", "echo hi; exit 4")
    *pieces, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert "".join(piece["text"] for piece in pieces) == "hi\n"
    assert {"stream", "cursor", "time"} <= pieces[0].keys()
    assert (last["job_id"], last["exit_status"]) == ("demo", 4)
    assert (last["outcome"]["state"], last["outcome"]["exit_code"]) == ("FAILED", 4)
    assert (done.returncode, done.stderr) == (4, b"")


def test_a_reader_that_leaves_ends_the_job(cli: Cli) -> None:
    """As with any program in a pipe; nothing is left running."""
    process = cli.start("run", "--job-id", "demo", "yes")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=LIMIT) == 130
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    assert cli.json("status", "demo")["state"] == "CANCELLED"


def test_a_full_disk_ends_the_job(cli: Cli) -> None:
    """An output that cannot be written is said, and nothing goes on unseen."""
    with Path("/dev/full").open("wb") as full:
        done = cli(
            *("run", "--job-id", "demo", "--", "sh", "-c", "echo hi; sleep 600"),
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
        assert done.returncode == 130
        assert b"No space left" in done.stderr
        done = cli("ps", "-a", capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 125
        assert b"No space left" in done.stderr
        assert b"bug" not in done.stderr


def test_a_job_from_stdin(cli: Cli) -> None:
    """``-f -`` reads the job file from stdin."""
    job = json.dumps(
        {"job_id": "piped", "command": ["sh", "-c"], "args": ["echo $A"], "env": {"A": "file"}}
    )
    done = cli("run", "-f", "-", "-e", "A=flag", stdin=job.encode())
    assert (done.returncode, done.stdout) == (0, b"flag\n")
    assert b"piped: SUCCEEDED" in done.stderr


def test_a_bad_job_file_names_file_and_field(cli: Cli, tmp_path: Path) -> None:
    """Nothing is created."""
    (tmp_path / "job.yaml").write_text("command: [true]\nimge: x\n")
    done = cli("run", "-f", "job.yaml")
    assert done.returncode == 125
    assert b"job.yaml" in done.stderr
    assert b"imge" in done.stderr
    assert cli.json("ps", "-a") == []


def test_what_the_engine_cannot_do_is_refused(cli: Cli) -> None:
    """The local engine has no images, and does not act as if."""
    done = cli("run", "--json", "--image", "alpine", "true")
    assert done.returncode == 125
    error = json.loads(done.stderr)["error"]
    assert (error["cause"], error["field"]) == ("spec.unsupported", "image")


def test_what_is_ignored_by_choice_is_warned_about(cli: Cli) -> None:
    """At each run, also with -q."""
    done = cli(
        "run", "-q", "--image", "alpine", "echo", "hi", env={"SPAWNERY_LOCAL_IGNORE": "image"}
    )
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    assert b"warning:" in done.stderr
    assert b"image" in done.stderr


def test_a_secret_reaches_the_job_and_nothing_else(cli: Cli) -> None:
    """What the job prints is its own affair; our talk does not have the value."""
    value = "hunter2-and-more"
    done = cli(
        *(
            "run",
            "-v",
            "--job-id",
            "demo",
            "--secret",
            "TOKEN",
            "--",
            "sh",
            "-c",
            "echo $TOKEN; exit 1",
        ),
        env={"TOKEN": value},
    )
    assert done.stdout == f"{value}\n".encode()
    assert value.encode() not in done.stderr
    assert value.encode() not in cli("status", "--json", "demo").stdout


def test_an_engine_that_is_down_is_told_once(cli: Cli) -> None:
    """The reason is the first line, and the watch that would try again says nothing of it."""
    docker = {"SPAWNER_TYPE": "docker", "DOCKER_HOST": "tcp://127.0.0.1:1"}
    done = cli("run", "--image", "x", "true", env=docker)
    assert done.returncode == 125
    assert done.stderr.startswith(b"error: no Docker engine answers at tcp://127.0.0.1:1")
    assert done.stderr.count(b"no Docker engine answers") == 1
