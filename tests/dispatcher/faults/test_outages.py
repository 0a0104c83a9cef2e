"""Redis or the engine does not answer for a while: people are told, and nothing is lost."""

from __future__ import annotations

import pytest
from api_versions import Versions, engine_of_versions
from dispatcher_case import until
from docker_images import BUSYBOX, make_busybox
from slack_story import readiness, told
from spawnery.testing.proxy import TransportProxy

SILENT_PROJECT = f'image = "{BUSYBOX}"\ncommand = ["true"]\nargs = []\nforward = []'
MANY = "[limits]\nper_channel = 100"


@pytest.mark.engine("redis")
@pytest.mark.parametrize("how", ["hangs", "is down"])
def test_redis_does_not_answer(tmp_path, redis_server, how):
    """503 and not a false "accepted"; Slack's retry is taken, and what runs is brought home."""
    leave, back = {
        "hangs": (redis_server.pause, redis_server.go_on),
        "is down": (redis_server.stop, redis_server.start),
    }[how]
    with told(tmp_path, redis_server) as story:
        dispatcher = story.dispatcher(extra=MANY)
        dispatcher.start()
        story.ask(dispatcher, 58)
        story.asks(58)
        leave()
        try:
            event = story.slack.say("fix #60")
            assert story.slack.deliver(dispatcher.port, event, retries=0).status == 503
            until(lambda: readiness(dispatcher)[0] == 503, why="not ready")
            _, found = readiness(dispatcher)
            assert "does not answer since" in found["redis"]
            assert found["engine"] == "answers"
            assert dispatcher.get("/healthz")[0] == 200
        finally:
            back()
        until(
            lambda: story.slack.deliver(dispatcher.port, event).status == 200,
            why="Slack's retry is taken",
        )
        for issue in (58, 60):
            story.press(dispatcher, issue)
            story.fixed(issue)
        until(lambda: readiness(dispatcher)[0] == 200, why="ready again")
        assert story.runs == 2


@pytest.mark.engine("redis", "docker")
def test_the_engine_does_not_answer(tmp_path, redis_server, docker_socket):
    """The job waits and says so; it runs, once, when the engine is back."""
    make_busybox()
    with (
        TransportProxy(f"unix://{docker_socket}") as proxy,
        told(tmp_path, redis_server, project=SILENT_PROJECT) as story,
    ):
        dispatcher = story.dispatcher(spawner="docker", environ={"DOCKER_HOST": proxy.address})
        dispatcher.start()
        until(lambda: readiness(dispatcher)[0] == 200, why="ready")
        proxy.refuse()
        proxy.cut_all()
        story.ask(dispatcher, 58)
        story.shows(58, "The engine does not take it yet")
        until(lambda: readiness(dispatcher)[0] == 503, why="not ready")
        _, found = readiness(dispatcher)
        assert "does not answer since" in found["engine"]
        assert found["engine_problem"]
        assert found["engine_hint"]
        assert f"Next: {found['engine_hint']}" in story.message(58).words()
        assert found["redis"] == "answers"
        proxy.accept()
        story.shows(58, "agent.silent")
        until(lambda: readiness(dispatcher)[0] == 200, why="ready again")
        created = [s for s in proxy.seen() if s.method == "POST" and "/containers/create" in s.path]
        assert len(created) == 1


@pytest.mark.engine("redis", "docker")
def test_an_engine_that_cannot_be_spoken_to(tmp_path, redis_server, docker_socket):
    """Jobs wait for it and nothing is their end, also after a restart; people see what to do."""
    make_busybox()
    project = SILENT_PROJECT.replace('["true"]', '["sleep", "600"]')
    versions = Versions("1.41", "1.24")
    with (
        engine_of_versions(docker_socket, versions) as address,
        told(tmp_path, redis_server, project=project) as story,
    ):
        dispatcher = story.dispatcher(
            spawner="docker", extra=MANY, environ={"DOCKER_HOST": address}
        )
        dispatcher.start()
        story.ask(dispatcher, 58)
        story.shows(58, "Running")
        versions.newest = versions.minimum = "1.99"  # upgraded beyond what we know
        story.ask(dispatcher, 60)
        story.shows(60, "speaks no API older than 1.99")
        assert "Next: update spawnery-docker" in story.message(60).words()
        until(lambda: readiness(dispatcher)[0] == 503, why="not ready")
        assert "update spawnery-docker" in readiness(dispatcher)[1]["engine_hint"]
        dispatcher.kill()
        versions.newest, versions.minimum = "1.39", "1.12"  # and put back beyond that
        dispatcher.launch()
        story.shows(60, "speaks API 1.39; at least 1.40 is needed")
        assert "Next: use Docker 19.03 or newer" in story.message(60).words()
        for issue in (58, 60):
            assert ": failed" not in story.message(issue).words()
        versions.newest, versions.minimum = "1.52", "1.44"
        until(lambda: readiness(dispatcher)[0] == 200, why="ready again")
        for issue in (58, 60):
            story.shows(issue, "Running")
            event = story.slack.say(f"cancel {story.job_id(issue)}")
            assert story.slack.deliver(dispatcher.port, event).status == 200
            story.shows(issue, ": cancelled")
