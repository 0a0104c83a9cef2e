"""`spawnery-dispatcher check`: each thing that is missing is named, with what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from redis_case import free_port
from slack_server import TOKEN
from slack_socket import SlackSocketServer

pytestmark = pytest.mark.engine("redis")

SECRET = "planted-secret-0123456789"
PROJECT = '[projects.demo]\ncommand = ["true"]\n'


@pytest.fixture
def check(tmp_path, shared_redis):
    """Run a command with a configuration; returns the finished process."""

    def run(config: str, *arguments: str, command: str = "check", **environ: str):
        path = tmp_path / "dispatcher.toml"
        if "[redis]" not in config:
            config += f'\n[redis]\nurl = "{shared_redis.url}"\n'
        path.write_text(config)
        kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR"}}
        ours = {"SPAWNER_TYPE": "local", "SPAWNERY_STATE_DIR": str(tmp_path / "state")}
        found = kept | {"HOME": str(tmp_path)} | ours | environ
        return subprocess.run(
            [sys.executable, "-m", "spawnery_dispatcher", command, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={name: value for name, value in found.items() if value},
            timeout=120,
        )

    return run


@pytest.fixture
def items(check):
    """Run `check --json`; returns exit code and the findings by name."""

    def run(config: str, **environ: str):
        done = check(config, "--json", **environ)
        assert done.stderr == "", done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def finding(found, name, level):
    """Return the one finding of a name and a level."""
    (one,) = [item for item in found if item["name"] == name and item["level"] == level]
    return one


def test_all_is_well(check):
    """Nothing fails: exit code 0, and each part has its line."""
    done = check(PROJECT)
    assert done.returncode == 0, done.stdout
    for part in (
        "configuration: projects: demo",
        "append-only file",
        "redis eviction",
        "slack: off",
    ):
        assert part in done.stdout
    assert "failed" not in done.stdout


def test_the_same_as_json(items):
    """Every finding has a name, a level and its detail."""
    code, found = items(PROJECT)
    assert code == 0
    assert {item["level"] for item in found} <= {"ok", "warning"}
    assert all(item["name"] and item["detail"] for item in found)


def test_a_redis_that_keeps_nothing(items, redis_server):
    """Without an append-only file it fails with the command; unless it is not required."""
    redis_server.client().config_set("appendonly", "no")
    config = f'{PROJECT}[redis]\nurl = "{redis_server.url}"\n'
    code, found = items(config)
    assert code == 1
    assert "appendonly yes" in finding(found, "redis persistence", "failed")["hint"]
    code, found = items(config + "require_persistence = false\n")
    assert code == 0
    assert finding(found, "redis persistence", "warning")


def test_a_redis_that_evicts(items, redis_server):
    """A policy that would forget jobs is named, with the command."""
    redis_server.client().config_set("maxmemory-policy", "allkeys-lru")
    code, found = items(f'{PROJECT}[redis]\nurl = "{redis_server.url}"\n')
    assert code == 0
    one = finding(found, "redis eviction", "warning")
    assert "allkeys-lru" in one["detail"]
    assert "noeviction" in one["hint"]


def test_no_redis(check):
    """Where none answers that is said, and the rest is looked at all the same; no password."""
    url = f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"
    done = check(f'{PROJECT}[redis]\nurl = "{url}"\n')
    assert done.returncode == 1
    assert "redis: does not answer" in done.stdout
    assert "slack: off" in done.stdout
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("intake", "names"),
    [
        ("events", ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")),
        ("socket", ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")),
    ],
)
def test_slack_without_its_secrets(items, intake, names):
    """Each variable that is missing is named; one that is set is not, nor is its value."""
    code, found = items(f'{PROJECT}[slack]\nintake = "{intake}"\n')
    assert code == 1
    told = json.dumps([item for item in found if item["level"] == "failed"])
    assert [name for name in names if name not in told] == []
    with SlackSocketServer() as server:
        server.app_token = SECRET
        config = f'{PROJECT}[slack]\nintake = "{intake}"\napi_url = "{server.api_url}"\n'
        secrets = dict.fromkeys(names, SECRET) | {"SLACK_BOT_TOKEN": TOKEN}
        code, found = items(config, **secrets)
    assert code == 0
    assert SECRET not in json.dumps(found)
    assert finding(found, "slack", "ok")["detail"] == f"{intake}; we are spawnery in Tests"


def test_an_app_token_that_slack_refuses(items):
    """Slack is asked: its code, the variable and where to make a token; the value is not shown."""
    names = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")
    with SlackSocketServer() as server:
        config = f'{PROJECT}[slack]\nintake = "socket"\napi_url = "{server.api_url}"\n'
        secrets = dict.fromkeys(names, SECRET) | {"SLACK_BOT_TOKEN": TOKEN}
        code, found = items(config, **secrets)
    assert code == 1
    one = finding(found, "slack", "failed")
    assert one["detail"] == "slack.token: Slack refuses SLACK_APP_TOKEN: invalid_auth"
    assert "connections:write" in one["hint"]
    assert SECRET not in json.dumps(found)
    code, found = items(config, **dict.fromkeys(names, SECRET))
    assert code == 1
    assert "slack.unreachable" in finding(found, "slack", "failed")["detail"]


def test_a_bot_token_that_slack_refuses(items):
    """As for the app token."""
    with SlackSocketServer() as server:
        config = f'{PROJECT}[slack]\nintake = "events"\napi_url = "{server.api_url}"\n'
        code, found = items(config, SLACK_BOT_TOKEN=SECRET, SLACK_SIGNING_SECRET=SECRET)
    assert code == 1
    one = finding(found, "slack", "failed")
    assert one["detail"] == "slack.token: Slack refuses SLACK_BOT_TOKEN: invalid_auth"
    assert "xoxb-" in one["hint"]
    assert SECRET not in json.dumps(found)


def test_what_is_handed_on(items):
    """The variables that a project gets are named, never their values."""
    code, found = items(f'{PROJECT}forward = ["A_TOKEN", "NOT_SET"]\n', A_TOKEN=SECRET)
    assert code == 0
    told = json.dumps(found)
    assert "hands on: A_TOKEN" in told
    assert "NOT_SET" not in told
    assert SECRET not in told


def test_a_project_that_cannot_run(items):
    """What the engine would refuse fails by project, and another one is looked at too."""
    config = PROJECT + '[projects.heavy]\ncommand = ["true"]\nresources = { gpus = 1 }\n'
    code, found = items(config)
    assert code == 1
    assert "cannot run" in finding(found, "project heavy", "failed")["detail"]
    assert [item for item in found if item["name"] == "project demo" and item["level"] == "ok"]


def test_no_project(items):
    """A configuration without a project works and does nothing, which is said."""
    code, found = items("")
    assert code == 0
    assert "[projects.NAME]" in finding(found, "configuration", "warning")["hint"]


@pytest.mark.parametrize("command", ["check", "serve", "healthy"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[limits]\nper_usr = 1\n", ("line 2", "limits.per_usr", "per_user")),
        ("\n[projects.demo]\nimage = 5\n", ("line 3", "projects.demo.image")),
        ("[projects.demo\n", ("line 1", "TOML")),
    ],
)
def test_a_typo(check, command, text, words):
    """Exit code 125 with file, line and key, without a traceback."""
    done = check(text, command=command)
    assert done.returncode == 125
    assert done.stdout == ""
    assert "dispatcher.toml" in done.stderr
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_a_variable_with_a_typo(check):
    """The variable is named, and the nearest that there is."""
    done = check(PROJECT, DISPATCHER_LIMITS_PER_USR="3")
    assert done.returncode == 125
    assert "DISPATCHER_LIMITS_PER_USR" in done.stderr
    assert "DISPATCHER_LIMITS_PER_USER" in done.stderr


@pytest.mark.parametrize("name", ["", "dokcer"])
def test_no_engine(check, name):
    """Without SPAWNER_TYPE, and with one that is not there, the installed ones are named."""
    done = check(PROJECT, SPAWNER_TYPE=name)
    assert done.returncode == 1
    assert "engine" in done.stdout
    assert "SPAWNER_TYPE" in done.stdout
    assert "local" in done.stdout
    assert "docker" in done.stdout
    serving = check(PROJECT, command="serve", SPAWNER_TYPE=name)
    assert serving.returncode == 125
    assert "local" in serving.stderr
    assert "Traceback" not in serving.stderr


def test_serving_without_slacks_secrets(check):
    """serve ends at once, naming the variable."""
    done = check(f'{PROJECT}[slack]\nintake = "events"\n', command="serve")
    assert done.returncode == 125
    assert "SLACK_" in done.stderr


def test_healthy_without_a_dispatcher(check):
    """Nobody listens: exit code 1 with the address."""
    port = free_port()
    done = check(f"{PROJECT}[server]\nport = {port}\n", command="healthy")
    assert done.returncode == 1
    assert str(port) in done.stderr


def test_a_key_of_the_api_is_shown_once(check):
    """The key on stdout, the lines of the configuration beside it; they are taken."""
    done = check(PROJECT, "ci", command="api-key")
    assert done.returncode == 0
    assert done.stdout.strip() not in done.stderr
    assert check(PROJECT + done.stderr).returncode == 0
