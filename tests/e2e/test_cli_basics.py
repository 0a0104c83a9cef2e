"""What holds for the command as a whole."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

LIMIT = 60.0
HEAVY = ("sqlite3", "cattrs", "rich", "yaml", "psutil", "pluggy")
COMMANDS = (
    *("run", "spawn", "ps", "status", "logs", "wait", "stop", "rm", "reap", "plan", "check"),
    *("spawners", "schema", "completion"),
)


def on_terminal(cli: Cli, *args: str, **env: str) -> str:
    """Run the command with a terminal for stdout and stderr, and return what it shows."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        cli.command(*args),
        env={**cli.env, "TERM": "xterm-256color", "COLUMNS": "100", **env},
        cwd=cli.folder,
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    shown = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not data:
            break
        shown += data
    os.close(main)
    process.wait(timeout=LIMIT)
    return shown.decode().replace("\r\n", "\n")


def test_help_lists_every_command_and_the_exit_codes(cli: Cli) -> None:
    """-h, --help and nothing at all are the same, on stdout."""
    text = cli.ok("-h")
    assert text == cli.ok("--help") == cli.ok()
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(code in text for code in ("124", "125", "126, 127", "130"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(cli: Cli, name: str) -> None:
    """And says that it takes --json."""
    assert "--json" in cli.ok(name, "-h")


def test_the_version(cli: Cli) -> None:
    """The version of the package."""
    from spawnery import __version__

    assert cli.ok("--version").split()[-1] == __version__


@pytest.mark.parametrize(
    ("args", "near"),
    [
        (("rnu",), "run"),
        (("spawners", "shwo"), "show"),
        (("ps", "--al"), "--all"),
        (("--jsn", "ps"), "--json"),
    ],
)
def test_a_typo_gets_the_near_miss(cli: Cli, args: tuple[str, ...], near: str) -> None:
    """A usage error is exit code 125: the job's own codes stay its own."""
    done = cli(*args)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"error: ")
    assert near.encode() in done.stderr


@pytest.mark.parametrize(
    "args",
    [("--json", "rnu"), ("ps", "--json", "--nope"), ("run", "--json", "--gpus", "x", "true")],
)
def test_a_usage_error_as_json(cli: Cli, args: tuple[str, ...]) -> None:
    """One object on stderr, wherever --json stood."""
    done = cli(*args)
    assert done.returncode == 125
    assert json.loads(done.stderr)["error"]["cause"] == "usage"


def test_a_jobs_own_json_is_not_ours(cli: Cli) -> None:
    """What follows -- belongs to the job."""
    done = cli("run", "--nope", "--", "echo", "--json")
    assert done.stderr.startswith(b"error: ")


def test_global_options_stand_before_or_after(cli: Cli, tmp_path: object) -> None:
    """The flag wins over the environment."""
    for args in (
        ("--state-dir", f"{tmp_path}/other", "ps"),
        ("ps", "--state-dir", f"{tmp_path}/other"),
    ):
        cli.ok(*args, env={"SPAWNERY_STATE_DIR": "/proc/nothing"})


def test_a_setting_that_is_not_known_is_refused(cli: Cli) -> None:
    """With the near miss."""
    done = cli("ps", env={"SPAWNERY_STATE_DRI": "x"})
    assert done.returncode == 125
    assert b"SPAWNERY_STATE_DIR" in done.stderr


def test_a_spawner_that_is_not_there(cli: Cli) -> None:
    """The error names the value and where it came from."""
    done = cli("ps", "--spawner", "dokcer")
    assert done.returncode == 125
    assert b"dokcer" in done.stderr
    done = cli("ps", env={"SPAWNER_TYPE": "dokcer"})
    assert b"SPAWNER_TYPE" in done.stderr


def test_no_home_no_stdin_no_stdout(cli: Cli) -> None:
    """As under a service manager, or cron."""
    done = cli("run", "echo", "hi", env={"HOME": None, "PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    script = '"$@" <&-; echo $?; "$@" >&- <&-; echo $?'
    closed = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *cli.command("run", "-q", "echo", "hi")],
        env=cli.env,
        cwd=cli.folder,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert (closed.stdout, closed.stderr) == (b"hi\n0\n0\n", b"")


def test_the_local_engine_is_the_fallback(cli: Cli) -> None:
    """Only where nothing else is installed; who makes a job is told on stderr, nobody else."""
    done = cli("plan", "true", env={"SPAWNER_TYPE": None})
    rows = cli.json("spawners")["installed"]
    if {row["name"] for row in rows if row["kind"] == "spawner"} <= {"local", "fake"}:
        assert (done.returncode, b"local" in done.stderr) == (0, True)
        assert cli("plan", "-q", "true", env={"SPAWNER_TYPE": None}).stderr == b""
        assert cli("ps", env={"SPAWNER_TYPE": None}).stderr == b""
    else:
        assert done.returncode == 125
        assert b"SPAWNER_TYPE" in done.stderr


def test_spawners_says_what_is_selected_and_why(cli: Cli) -> None:
    """Distribution and version are those of the package."""
    found = cli.json("spawners")
    assert found["selected"] == "local"
    assert "SPAWNER_TYPE" in found["why"]
    (local,) = [row for row in found["installed"] if row["name"] == "local"]
    assert (local["distribution"], local["selected"], local["loaded"]) == ("spawnery", True, False)
    loaded = cli.json("spawners", "--load")["installed"]
    assert [row["loaded"] for row in loaded if row["name"] == "local"] == [True]
    done = cli("spawners")
    assert b"*\tlocal\tspawner\tspawnery\t" in done.stdout
    assert b"SPAWNER_TYPE" in done.stderr


def test_show_lists_settings_with_their_origin(cli: Cli) -> None:
    """Each has a value, a source and a description."""
    found = cli.json("spawners", "show", "local")
    settings = found["settings"]
    assert settings["state_dir"]["source"] == "environment SPAWNERY_STATE_DIR"
    assert settings["records_days"]["source"] == "default"
    assert all(setting["description"] for setting in settings.values())
    assert "logs.split" in found["capabilities"]
    assert "state_dir\t" in cli.ok("spawners", "show", "local")
    assert cli("spawners", "show", "nothing").returncode == 125


def test_a_cold_start_is_light(cli: Cli) -> None:
    """Listing the spawners needs none of the heavy modules."""
    script = (
        "import sys\n"
        "from spawnery.cli import main\n"
        "try:\n    main(['spawners'])\n"
        f"finally:\n    print([m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=cli.env,
        cwd=cli.folder,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, b"[]"), done.stderr


def test_check_is_a_doctor(cli: Cli) -> None:
    """All is well here; with --probe a job really runs, and nothing stays."""
    items = cli.json("check", "--probe")
    assert {item["level"] for item in items} <= {"ok", "warning"}
    assert cli.json("ps", "-a") == []
    assert "isolat" in cli.ok("check").lower()


def test_check_finds_what_is_wrong(cli: Cli) -> None:
    """Exit code 1, a line for the failure, and what to do; --json all the same."""
    done = cli("check", env={"SPAWNER_TYPE": "dokcer"})
    assert done.returncode == 1
    assert b"failed\t" in done.stdout
    assert b"dokcer" in done.stdout
    levels = [
        item["level"] for item in json.loads(cli("check", "--json", "--spawner", "dokcer").stdout)
    ]
    assert "failed" in levels


def test_the_schema_is_that_of_the_job_file(cli: Cli) -> None:
    """A JSON Schema with the fields of the spec."""
    schema = json.loads(cli.ok("schema"))
    assert "$schema" in schema
    assert {"command", "image", "secrets"} <= schema["properties"].keys()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli: Cli, shell: str) -> None:
    """For the three shells."""
    assert "_SPAWNERY_COMPLETE" in cli.ok("completion", shell)


def test_completion_works_in_bash(cli: Cli) -> None:
    """The script, taken in by a real bash, registers itself and completes what is typed."""
    script = (
        'eval "$(spawnery completion bash)"\n'
        "read -r _ _ _ _ function _ < <(complete -p spawnery)\n"
        "COMP_WORDS=(spawnery spaw) COMP_CWORD=1\n"
        '"$function" spawnery\n'
        'echo "${COMPREPLY[@]}"\n'
    )
    path = f"{Path(sys.executable).parent}:{cli.env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=cli.env | {"PATH": path},
        cwd=cli.folder,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"spawn spawners\n", b"")


def test_completion_knows_commands_and_jobs(cli: Cli) -> None:
    """What the script asks for: names of commands, ids of jobs."""

    def completed(words: str, position: str) -> str:
        env = {"_SPAWNERY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": position}
        return cli("", env=env).stdout.decode()

    assert "plain,spawners" in completed("spawnery spaw", "1")
    cli.ok("spawn", "--job-id", "nightly", "sleep", "100")
    assert "plain,nightly" in completed("spawnery stop ni", "2")


def test_a_terminal_gets_a_table_in_colour(cli: Cli) -> None:
    """Header, age and colour; NO_COLOR takes the colour away."""
    cli.ok("spawn", "--job-id", "demo", "sleep", "100")
    shown = on_terminal(cli, "ps")
    assert "JOB ID" in shown
    assert "\x1b[32mRUNNING\x1b[0m" in shown
    plain = on_terminal(cli, "ps", NO_COLOR="1")
    assert "RUNNING" in plain
    assert "\x1b[" not in plain


def test_talk_begins_a_line_of_its_own(cli: Cli) -> None:
    """Also behind a job that did not end its last line."""
    shown = on_terminal(cli, "run", "--job-id", "demo", "--", "printf", "hi")
    assert "hi\ndemo: SUCCEEDED" in shown


def test_errors_on_a_terminal_have_a_mark_in_colour(cli: Cli) -> None:
    """The message itself has none."""
    assert "\x1b[31merror:\x1b[0m no such command" in on_terminal(cli, "nope")
