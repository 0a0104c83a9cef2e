"""`spawnery-dispatcher chat` by subprocess: nothing is set up, and there is no terminal."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = r"""
import sys
from pathlib import Path
from spawnery_agent import Agent
with Agent.from_environment() as agent:
    agent.progress("thinking")
    colour = agent.ask("Which colour?", choices=["red", "blue"], question_id="colour")
    agent.done(f"painted {colour}") if colour != "none" else agent.error("no colour")
"""


@pytest.fixture
def chat(tmp_path):
    """Run it with lines; returns the finished process."""

    def run(*lines: str, environ: dict[str, str] | None = None, arguments: tuple[str, ...] = ()):
        kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR"}}
        return subprocess.run(
            [sys.executable, "-m", "spawnery_dispatcher", "chat", *arguments],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**kept, "HOME": str(tmp_path), **(environ or {})},
            timeout=180,
        )

    return run


def test_the_script(chat):
    """Without a line it plays its own: one job, its question answered, its end."""
    done = chat()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in ("> fix #58 in demo", "Which branch", "> develop", "on develop", "/pull/58"):
        assert part in done.stdout
    assert done.stdout.count("https://example.com/pull/58") == 1
    shown = [line for line in done.stdout.splitlines() if line.startswith("[demo-58-")]
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize("spawner", ["docker", ""])
def test_the_demo_runs_on_this_machine(chat, spawner):
    """Whatever the shell has chosen for other work: the demo's agent has no image."""
    done = chat("fix #58", "main", environ={"SPAWNER_TYPE": spawner})
    assert done.returncode == 0, done.stdout


def test_piped_commands(chat):
    """Lines are commands, and answers where something is asked; bad ones are told apart."""
    done = chat("help", "fx #58", "fix #58 in dem", "fix #70", "list", "release/1", "fix #0")
    assert done.returncode == 0, done.stderr
    for part in ("Projects: demo", "demo-70-", "Answered: release/1", "on release/1"):
        assert part in done.stdout
    assert "did you mean" in done.stdout.lower()
    assert "/pull/70" in done.stdout
    assert "demo-58-" not in done.stdout


@pytest.mark.parametrize(
    ("issue", "words"),
    [(61, ("2 of 10 tests failed", "exit.nonzero")), (62, ("exit code 3",))],
)
def test_a_job_that_fails_is_the_exit_code(chat, issue, words):
    """Exit code 1, with the cause and the end of the log."""
    done = chat(f"fix #{issue}", "main")
    assert done.returncode == 1
    assert [part for part in words if part not in done.stdout] == []
    assert "on branch main" in done.stdout


def test_cancel_and_quit(chat):
    """A cancelled job is told as such; after quit nothing more is read."""
    done = chat("fix #58", "cancel", "quit", "fix #59")
    assert done.returncode == 1
    assert "cancelled" in done.stdout
    assert "demo-59" not in done.stdout


def test_nobody_is_left_to_answer(chat):
    """Where the lines end at an open question the job is cancelled, and that is said."""
    done = chat("fix #58")
    assert done.returncode == 1
    assert "Which branch" in done.stdout
    assert "nobody answers" in done.stdout
    assert "stopped on request" in done.stdout


def test_a_project_of_ones_own(chat, tmp_path):
    """A configuration with projects is used instead of the demo's."""
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT)
    config = tmp_path / "mine.toml"
    command = json.dumps([sys.executable, str(agent)])
    config.write_text(
        f'default_project = "paint"\n[projects.paint]\ncommand = {command}\nargs = []\n'
    )
    done = chat("fix #5", "blue", arguments=("--config", str(config)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "painted blue" in done.stdout
    assert "demo" not in done.stdout
    none = chat("fix #6", "none", environ={"DISPATCHER_CONFIG": str(config)})
    assert none.returncode == 1
    assert "no colour" in none.stdout


def test_nothing_is_left(chat, tmp_path):
    """Neither files nor processes stay behind."""
    environ = {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    assert chat("fix #58", "main", environ=environ).returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # ended meanwhile
            assert str(tmp_path).encode() not in entry.read_bytes()


def test_no_secret_is_shown(chat):
    """What our environment has as a token is in no output, with the log shown too."""
    secret = "planted-secret-0123456789"
    environ = {"GITHUB_TOKEN": secret, "SLACK_BOT_TOKEN": secret}
    done = chat("fix #61", "main", environ=environ, arguments=("--verbose",))
    assert secret not in done.stdout + done.stderr
    assert "job_ended" in done.stdout + done.stderr


def test_a_configuration_with_a_typo(chat, tmp_path):
    """Told with file, line and key, without a traceback, before anything runs."""
    (tmp_path / "dispatcher.toml").write_text("[limits]\nper_usr = 3\n")
    done = chat("fix #58")
    assert done.returncode == 125
    assert done.stdout == ""
    assert "dispatcher.toml line 2" in done.stderr
    assert "limits.per_usr" in done.stderr
    assert "per_user" in done.stderr
    assert "Traceback" not in done.stderr
