"""The root docker-compose.yml as a person runs it: "fix #58" starts a container, with an answer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from dispatcher_case import until
from docker_bridge import host_address
from redis_case import free_port
from service_images import make_images
from slack_server import SECRET, TOKEN, SlackServer

pytestmark = [pytest.mark.engine("docker"), pytest.mark.xdist_group("services")]

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "spawnery-e2e"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - containers do not reach the loopback interface
PLANTED = "planted-token-0123456789abcdef"


def docker(*words: str, **environ: str) -> str:
    done = subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    """The project, up, with Slack on this machine."""
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if done.returncode:
        text = "engine absent: docker compose 2 is not installed; bring it with: make engines"
        if os.environ.get("SPAWNERY_TEST_REQUIRE_ENGINES") == "1":
            pytest.fail(text)
        pytest.skip(text)
    make_images()
    port = free_port()
    with SlackServer(EVERYWHERE) as slack:
        config = tmp_path_factory.mktemp("compose") / "dispatcher.toml"
        example = (ROOT / "examples" / "dispatcher.toml").read_text()
        api = f'api_url = "http://{host_address()}:{slack.port}/api/"'
        config.write_text(example.replace('intake = "events"', f'intake = "events"\n{api}'))
        environ = {
            "DISPATCHER_TOML": str(config),
            "DISPATCHER_PORT": str(port),
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET,
            "GITHUB_TOKEN": PLANTED,
        }
        words = ("compose", "-p", PROJECT)
        try:
            docker(*words, "up", "-d", "--no-build", "--wait", "--wait-timeout", "180", **environ)
            yield slack, port, lambda *more: docker(*words, *more, **environ)
        finally:
            docker(*words, "down", "-v", "-t", "5", **environ)


def containers(*more: str) -> list[str]:
    return docker("ps", "-a", "--filter", "name=agentsmith-demo-", "--format", "{{.Names}}").split()


def test_fix_on_compose(compose):
    """The seed: in docker ps, in the project's network, with its secrets, and gone when done."""
    slack, port, run = compose
    event = slack.say("fix #58")
    assert slack.deliver(port, event).status == 200
    message = until(lambda: slack.of_bot(event="spawnery_job"), why="the job's message")[0]
    job_id = message.metadata["event_payload"]["job_id"]
    name = f"agentsmith-{job_id}"
    until(lambda: '"text": "main"' in message.words(), why="the question", instead=message.words)
    assert containers() == [name]
    shown = json.loads(docker("inspect", name))[0]
    assert list(shown["NetworkSettings"]["Networks"]) == [f"{PROJECT}_default"]
    assert f"GITHUB_TOKEN={PLANTED}" in shown["Config"]["Env"]
    assert "REDIS_URL=redis:6379" in shown["Config"]["Env"]
    assert shown["HostConfig"]["AutoRemove"] is True
    assert shown["HostConfig"]["Memory"] == 1024**3
    assert slack.deliver_form(port, slack.press(message, "main")).status == 200
    until(lambda: "done" in message.text, why="the answer")
    assert "https://example.com/pull/58" in message.words()
    until(lambda: not containers(), why="the container is gone")
    logs = run("logs", "dispatcher")
    for secret in (PLANTED, TOKEN, SECRET):
        assert secret not in logs
        assert all(secret not in m.words() for m in slack.messages)


def test_a_missing_image_on_compose(compose):
    """It is said in the thread, with the command to run; nothing is left."""
    slack, port, _ = compose
    docker("tag", "spawnery-demo-agent", "spawnery-demo-agent:kept")
    docker("rmi", "spawnery-demo-agent:latest")
    try:
        slack.deliver(port, slack.say("fix #63"))
        until(
            lambda: any(
                "image.not_found" in m.words() and "docker build" in m.words()
                for m in slack.of_bot(event="spawnery_job")
            ),
            why="the answer",
        )
    finally:
        docker("tag", "spawnery-demo-agent:kept", "spawnery-demo-agent:latest")
        docker("rmi", "spawnery-demo-agent:kept")
    assert not containers()


def test_the_dispatcher_is_killed_on_compose(compose):
    """Killed while the agent asks: it comes back, takes the job over, and answers once."""
    slack, port, run = compose
    slack.deliver(port, slack.say("fix #68"))
    message = until(
        lambda: [m for m in slack.of_bot(event="spawnery_job") if "#68" in m.text], why="a message"
    )[0]
    until(lambda: '"text": "main"' in message.words(), why="the question", instead=message.words)
    run("kill", "dispatcher")
    run("up", "-d", "--no-build", "--wait", "--wait-timeout", "120")
    until(
        lambda: slack.deliver_form(port, slack.press(message, "main")).status == 200,
        why="the button",
    )
    until(lambda: "done" in message.text, why="the answer")
    until(lambda: not containers(), why="the container is gone")
    assert len([m for m in slack.of_bot(event="spawnery_job") if "#68" in m.text]) == 1
