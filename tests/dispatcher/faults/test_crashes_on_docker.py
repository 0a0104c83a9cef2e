"""A dispatcher killed while its job is a container: one container ever, one outcome, one answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dispatcher_case import until
from docker_bench import docker
from docker_bridge import host_address
from redis_case import RedisServer
from service_images import AGENT, make_images
from slack_story import Story, told
from spawnery_dispatcher.model.steps import Step

pytestmark = [pytest.mark.engine("docker", "redis"), pytest.mark.group("services")]

EVERYWHERE = "0.0.0.0"  # noqa: S104 - containers do not reach the loopback interface
PROJECT = f'image = "{AGENT}"\nnetwork = "bridge"\nforward = []'
LATE = frozenset({Step.OUTCOME_SEEN, Step.ENDED})


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A Redis that containers reach."""
    make_images()
    server = RedisServer(tmp_path_factory.mktemp("redis"), EVERYWHERE)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def created(tmp_path_factory):
    """A file with the name of each container that is created; the daemon forgets old events."""
    journal = tmp_path_factory.mktemp("events") / "created"
    words = ("--filter", "event=create", "--format", "{{.Actor.Attributes.name}}")
    with (
        journal.open("wb") as file,
        subprocess.Popen(["docker", "events", *words], stdout=file) as run,
    ):
        yield journal
        run.terminate()


@pytest.fixture
def story(tmp_path, redis):
    """A story of an instance of its own."""
    with told(tmp_path, redis, project=PROJECT) as made:
        yield made


def dispatcher_of(story: Story, folder):
    """Make a dispatcher whose agents are containers."""
    environ = {
        "DISPATCHER_INSTANCE": f"i{abs(hash(str(folder))) % 10**10}",
        "DISPATCHER_REDIS_AGENT_URL": f"{host_address()}:{story.redis.port}",
    }
    return story.dispatcher(spawner="docker", environ=environ)


def check_one_of_each(story: Story, created: Path) -> None:
    """One container ever, one message, one ping, nothing left."""
    story.fixed(58)
    name = f"agentsmith-{story.job_id(58)}"
    filters = ("-a", "--filter", f"name={name}", "-q")
    until(lambda: not docker("ps", *filters).strip(), why="the container is gone")
    assert created.read_text().splitlines().count(name) == 1


@pytest.mark.parametrize(
    "step",
    [Step.CLAIMED, Step.SPAWNING, Step.SPAWNED, Step.RUNNING, Step.OUTCOME_SEEN, Step.ENDED],
    ids=str,
)
def test_killed_at_a_step(story, created, tmp_path, step):
    """Whatever was done when it died is done once."""
    dispatcher = dispatcher_of(story, tmp_path)
    dispatcher.start(DISPATCHER_CRASH_AT=str(step))
    event = story.slack.say("fix #58")
    story.slack.deliver(dispatcher.port, event, retries=0)
    if step in LATE:
        story.press(dispatcher, 58)
    dispatcher.wait_dead()
    dispatcher.start()
    assert story.slack.deliver(dispatcher.port, event).status == 200
    if step not in LATE:
        story.press(dispatcher, 58)
    check_one_of_each(story, created)


def test_it_ends_while_nobody_looks(story, created, tmp_path):
    """The engine forgot the container at once; the agent's Done on the stream is the evidence."""
    dispatcher = dispatcher_of(story, tmp_path)
    dispatcher.start()
    story.ask(dispatcher, 58)
    story.asks(58)
    job_id = story.job_id(58)
    dispatcher.kill()
    answer = {"type": "Answer", "questionId": "branch", "answer": "main"}
    with story.redis.client() as client:
        client.xadd(f"job:{job_id}:in", answer)
    name = f"agentsmith-{job_id}"
    until(lambda: not docker("ps", "-aq", "--filter", f"name={name}").strip(), why="it is over")
    dispatcher.start()
    check_one_of_each(story, created)
    assert "fixed #58" in story.message(58).words()
    # The daemon may still know of the exit; else the agent's word is all there is.
    causes = ('cause="agent.done"', 'cause="exit.zero"')
    until(
        lambda: any(cause in dispatcher.get("/metrics")[1] for cause in causes),
        why="it is counted as a success",
    )
