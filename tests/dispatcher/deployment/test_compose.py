"""The root docker-compose.yml as a person runs it: "fix #58" starts a container, with an answer."""

from __future__ import annotations

import json

import pytest
from compose_case import PLANTED, agents, docker, project
from dispatcher_case import until
from slack_server import SECRET, TOKEN

pytestmark = [pytest.mark.engine("docker"), pytest.mark.group("services")]

PROJECT = "spawnery-e2e"


@pytest.fixture(scope="module")
def compose(tmp_path_factory):
    """The project, up, with Slack on this machine."""
    folder = tmp_path_factory.mktemp("compose")
    with project(PROJECT, folder, "docker-compose.yml") as made:
        yield made.slack, made.port, made.run


def test_fix_on_compose(compose):
    """The seed: in docker ps, in the project's network, with its secrets, and gone when done."""
    slack, port, run = compose
    event = slack.say("fix #58")
    assert slack.deliver(port, event).status == 200
    message = until(lambda: slack.of_bot(event="spawnery_job"), why="the job's message")[0]
    job_id = message.metadata["event_payload"]["job_id"]
    name = f"agentsmith-{job_id}"
    until(lambda: '"text": "main"' in message.words(), why="the question", instead=message.words)
    assert agents() == [name]
    shown = json.loads(docker("inspect", name))[0]
    assert list(shown["NetworkSettings"]["Networks"]) == [f"{PROJECT}_default"]
    assert f"GITHUB_TOKEN={PLANTED}" in shown["Config"]["Env"]
    # One is not set, the other one empty.
    assert not [pair for pair in shown["Config"]["Env"] if "_API_KEY=" in pair]
    assert "REDIS_URL=redis:6379" in shown["Config"]["Env"]
    assert shown["HostConfig"]["AutoRemove"] is True
    assert shown["HostConfig"]["Memory"] == 1024**3
    assert slack.deliver_form(port, slack.press(message, "main")).status == 200
    until(lambda: "done" in message.text, why="the answer")
    assert "https://example.com/pull/58" in message.words()
    until(lambda: not agents(), why="the container is gone")
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
    assert not agents()


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
    until(lambda: not agents(), why="the container is gone")
    assert len([m for m in slack.of_bot(event="spawnery_job") if "#68" in m.text]) == 1
