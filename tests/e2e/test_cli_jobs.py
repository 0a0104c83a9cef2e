"""The verbs for jobs that run by themselves, on the local engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from conftest import Cli

LIMIT = 60.0
Poll = Callable[[Callable[[], Any]], Any]


def waiting(folder: Path) -> list[str]:
    """Return a command that says ready, waits for a file called go, and says done."""
    script = (
        f"echo ready; echo oops >&2; while [ ! -e {folder}/go ]; do sleep 0.05; done; echo done"
    )
    return ["--", "sh", "-c", script]


def test_spawn_prints_the_id_and_leaves_the_job_alone(
    cli: Cli, tmp_path: Path, eventually: Poll
) -> None:
    """The job outlives the command; every other verb finds it by its id."""
    job_id = cli.ok("spawn", *waiting(tmp_path)).strip()
    eventually(lambda: cli.ok("logs", job_id) == "ready\n")
    assert cli.json("status", job_id)["state"] == "RUNNING"
    assert cli.ok("ps", "-q").split() == [job_id]
    assert cli("logs", job_id).stderr == b"oops\n"
    (tmp_path / "go").touch()
    done = cli("wait", job_id)
    assert done.returncode == 0
    assert job_id.encode() + b": SUCCEEDED" in done.stderr
    assert cli.ok("logs", job_id) == "ready\ndone\n"
    assert cli.ok("ps", "-q") == ""
    assert cli.ok("ps", "-a", "-q").split() == [job_id]


def test_the_same_spawn_again_is_the_same_job(cli: Cli, tmp_path: Path) -> None:
    """One id, one object; another spec under that id is refused."""
    command = ("spawn", "--job-id", "one", *waiting(tmp_path))
    assert cli.json(*command)["created"] is True
    again = cli(*command)
    assert (again.returncode, again.stdout) == (0, b"one\n")
    assert b"one was spawned before" in again.stderr
    other = cli("spawn", "--json", "--job-id", "one", "true")
    assert other.returncode == 125
    assert json.loads(other.stderr)["error"]["cause"] == "job.spec_conflict"


def test_logs_follow_until_the_end(cli: Cli, tmp_path: Path) -> None:
    """With --json the last line is the outcome."""
    cli.ok("spawn", "--job-id", "demo", *waiting(tmp_path))
    process = cli.start("logs", "-f", "demo")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out, err) == (0, b"done\n", b"oops\n")
    *pieces, last = [
        json.loads(line) for line in cli.ok("logs", "-f", "--json", "demo").splitlines()
    ]
    assert "".join(p["text"] for p in pieces if p["stream"] == "stdout") == "ready\ndone\n"
    assert last["outcome"]["state"] == "SUCCEEDED"


def test_logs_go_on_behind_a_cursor(cli: Cli) -> None:
    """What was read is not read again."""
    cli.ok("spawn", "--job-id", "demo", "--", "sh", "-c", "echo one; echo two")
    cli("wait", "demo")
    pieces = [json.loads(line) for line in cli.ok("logs", "--json", "demo").splitlines()]
    assert cli.ok("logs", "--cursor", pieces[-1]["cursor"], "demo") == ""


def test_logs_of_the_end(cli: Cli) -> None:
    """--tail counts bytes, --since leaves out what is older."""
    cli.ok("spawn", "--job-id", "demo", "--", "sh", "-c", "echo one; echo two")
    cli("wait", "demo")
    assert cli.ok("logs", "--tail", "4", "demo") == "two\n"
    assert cli.ok("logs", "--since", "1h", "demo") == "one\ntwo\n"
    assert cli.ok("logs", "--since", "2999-01-01T00:00:00Z", "demo") == ""


def test_a_reader_of_logs_may_leave(cli: Cli, tmp_path: Path) -> None:
    """No traceback; the exit code is that of a program killed by SIGPIPE; the job goes on."""
    flood = ["--", "sh", "-c", f"seq 1 100000; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"]
    cli.ok("spawn", "--job-id", "demo", *flood)
    process = cli.start("logs", "-f", "demo")
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    process.stdout.close()
    assert process.wait(timeout=LIMIT) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert cli.json("status", "demo")["state"] == "RUNNING"


def test_wait_exits_as_the_job_did(cli: Cli) -> None:
    """As run does; the document has the outcome."""
    cli.ok("spawn", "--job-id", "demo", "--", "sh", "-c", "exit 7")
    assert cli("wait", "demo").returncode == 7
    found = json.loads(cli("wait", "--json", "demo").stdout)
    assert (found["exit_status"], found["outcome"]["cause"]) == (7, "exit.nonzero")


def test_wait_has_a_time_limit(cli: Cli, tmp_path: Path) -> None:
    """The job goes on when it is over."""
    cli.ok("spawn", "--job-id", "demo", *waiting(tmp_path))
    done = cli("wait", "--json", "--timeout", "200ms", "demo")
    assert done.returncode == 125
    error = json.loads(done.stderr)["error"]
    assert (error["cause"], error["retryable"]) == ("wait.timeout", True)
    assert cli.json("status", "demo")["state"] == "RUNNING"


def test_stop_and_rm(cli: Cli, tmp_path: Path) -> None:
    """A running job is not removed unless forced; a removed id is free again."""
    cli.ok("spawn", "--job-id", "demo", *waiting(tmp_path))
    refused = cli("rm", "--json", "demo")
    assert refused.returncode == 125
    assert json.loads(refused.stderr)["error"]["cause"] == "job.running"
    assert cli.ok("stop", "--grace", "20s", "demo") == "demo\n"
    assert cli("wait", "demo").returncode == 130
    assert cli.ok("rm", "demo") == "demo\n"
    assert cli.json("ps", "-a") == []
    missing = cli("status", "--json", "demo")
    assert missing.returncode == 125
    assert json.loads(missing.stderr)["error"]["cause"] == "job.not_found"
    cli.ok("spawn", "--job-id", "demo", "true")


def test_rm_force_ends_what_runs(cli: Cli, tmp_path: Path) -> None:
    """One call for a job in any state."""
    cli.ok("spawn", "--job-id", "demo", *waiting(tmp_path))
    assert cli.ok("rm", "--force", "demo") == "demo\n"
    assert cli.json("ps", "-a") == []


def test_a_failure_of_one_does_not_keep_the_others(cli: Cli, tmp_path: Path) -> None:
    """The jobs behind the one that is not there are stopped all the same."""
    cli.ok("spawn", "--job-id", "demo", *waiting(tmp_path))
    done = cli("stop", "nobody", "demo")
    assert done.returncode == 125
    assert done.stdout == b"demo\n"
    assert b"nobody" in done.stderr


def test_ps_is_tab_separated_for_programs(cli: Cli) -> None:
    """Id, state, ISO time, exit code, cause."""
    cli.ok("spawn", "--job-id", "demo", "--", "sh", "-c", "exit 7")
    cli("wait", "demo")
    job_id, state, when, code, cause = cli.ok("ps", "-a").rstrip("\n").split("\t")
    assert (job_id, state, code, cause) == ("demo", "FAILED", "7", "exit.nonzero")
    assert when[:2] == "20"


def test_reap_says_what_it_would_do(cli: Cli) -> None:
    """A dry run changes nothing; each decision has a reason."""
    cli.ok("spawn", "--job-id", "demo", "--retention-seconds", "1h", "true")
    cli("wait", "demo")
    (decision,) = [d for d in cli.json("reap", "--dry-run") if d["job_id"] == "demo"]
    assert decision["action"] == "keep"
    assert decision["reason"]
    assert cli("reap").returncode == 0
    assert cli.ok("ps", "-a", "-q") == "demo\n"


def test_plan_shows_and_does_nothing(cli: Cli) -> None:
    """Secrets are masked, nothing is created."""
    env = {"TOKEN": "hunter2-and-more"}
    flags = ("plan", "--job-id", "demo", "-e", "A=1", "--secret", "TOKEN", "--", "echo", "hi")
    document = cli.json(*flags, env=env)
    assert document["spec"]["job_id"] == "demo"
    text = cli.ok(*flags, env=env)
    assert yaml.safe_load(text.split("\n\n", 1)[1]) == document["plan"]["engine_object"]
    assert "hunter2" not in text + json.dumps(document)
    assert cli.json("ps", "-a") == []
