"""What of the dispatcher's own environment reaches agents."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from docker_images import BUSYBOX, make_busybox
from slack_story import told

PLANTED = "planted-secret-0123456789"
GIVEN = {"GITHUB_TOKEN": PLANTED, "OPENAI_API_KEY": ""}
"""One that is set, one that is empty (Compose's ``${NAME:-}``, ``NAME=``); others are not set."""
LINES = 'command = ["env"]\nargs = []\n'


def names(text: str) -> set[str]:
    """Return the names of the variables that a program printed."""
    lines = (line.strip("[] `") for line in text.splitlines())
    return {line.partition("=")[0] for line in lines if "=" in line}


def check(found: set[str]) -> None:
    """Look for what was handed on."""
    assert {"GITHUB_TOKEN", "JOB_ID", "PROJECT"} <= found
    assert not [name for name in found if name.endswith("_API_KEY")]


@pytest.mark.engine("redis")
@pytest.mark.parametrize(
    ("spawner", "lines"),
    [
        ("local", LINES),
        pytest.param("docker", f'image = "{BUSYBOX}"\n{LINES}', marks=pytest.mark.engine("docker")),
    ],
    ids=["local", "docker"],
)
def test_an_empty_variable_does_not_reach_an_agent(tmp_path, shared_redis, spawner, lines):
    """An agent that gets OPENAI_API_KEY empty would take it for a key."""
    if spawner == "docker":
        make_busybox()
    with told(tmp_path, shared_redis, project=lines) as story:
        dispatcher = story.dispatcher(spawner=spawner, environ=GIVEN)
        dispatcher.start()
        story.ask(dispatcher, 58)
        text = story.shows(58, "agent.silent").words()
        check(names(text.replace("\\n", "\n")))
        assert PLANTED not in text


def test_an_empty_variable_does_not_reach_an_agent_of_chat(tmp_path):
    """So it is in a terminal."""
    printed = tmp_path / "printed"
    command = json.dumps(["sh", "-c", 'env >"$0"', str(printed)])
    (tmp_path / "dispatcher.toml").write_text(
        f'default_project = "demo"\n[projects.demo]\ncommand = {command}\nargs = []\n'
    )
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR"}}
    done = subprocess.run(
        [sys.executable, "-m", "spawnery_dispatcher", "chat"],
        input="fix #5\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**kept, "HOME": str(tmp_path), **GIVEN},
        timeout=180,
    )
    assert "agent.silent" in done.stdout, done.stdout + done.stderr
    check(names(printed.read_text()))
