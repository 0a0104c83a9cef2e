"""A dispatcher killed at each step: then one job, one outcome, one answer, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from dispatcher_case import Dispatcher, until
from slack_server import SlackServer
from spawnery_dispatcher.model.steps import Step

pytestmark = pytest.mark.engine("redis")

JOB, ENDED = "spawnery_job", "spawnery_ended"
COUNTED = 'echo run >>"$0"; exec "$1" -m spawnery_agent.demo --pause 0.1 "${@:2}"'


def counted_project(runs: Path) -> str:
    """A project whose agent leaves a line each time it is started."""
    command = ["bash", "-c", COUNTED, str(runs), sys.executable]
    return f"command = {json.dumps(command)}\nforward = []"


@pytest.fixture
def place(shared_redis, tmp_path):
    """Slack and a way to make dispatchers of one instance; each test has an instance of its own."""
    runs = tmp_path / "runs"
    made = []

    with SlackServer() as server:

        def make(name: str = "one", **given) -> Dispatcher:
            dispatcher = Dispatcher(
                tmp_path / name,
                shared_redis.url,
                slack_api=server.api_url,
                project=counted_project(runs),
                environ={
                    "DISPATCHER_INSTANCE": f"i{abs(hash(str(tmp_path))) % 10**10}",
                    "SPAWNERY_STATE_DIR": str(tmp_path / "state"),
                },
                **given,
            )
            made.append(dispatcher)
            return dispatcher

        yield server, make, runs
        for dispatcher in made:
            if dispatcher.alive:
                dispatcher.end()


def press_when_asked(server, dispatcher):
    """Answer the agent's question as soon as somebody shows it."""

    def asked():
        found = server.of_bot(event=JOB)
        return found and '"text": "main"' in found[0].words()

    until(asked, why="the question")
    message = server.of_bot(event=JOB)[0]
    until(
        lambda: server.deliver_form(dispatcher.port, server.press(message, "main")).status == 200,
        why="the button is taken",
    )


def finished(server):
    found = server.of_bot(event=JOB)
    return found and "done" in found[0].text and server.of_bot(event=ENDED)


def check_one_of_each(server, runs, tmp_state):
    """One run ever, one message, one final answer, one ping, nothing left at the engine."""
    time.sleep(1.5)
    assert runs.read_text().splitlines() == ["run"]
    assert len(server.of_bot(event=JOB)) == 1
    assert len(server.of_bot(event=ENDED)) == 1
    assert "done" in server.of_bot(event=JOB)[0].text
    jobs = Path(tmp_state) / "local" / "jobs"
    until(lambda: not jobs.exists() or not os.listdir(jobs), why="nothing is left")


@pytest.mark.parametrize("step", list(Step), ids=str)
def test_killed_at_each_step(place, tmp_path, step):
    """Whatever was done when it died is done once."""
    server, make, runs = place
    dispatcher = make()
    dispatcher.start(DISPATCHER_CRASH_AT=str(step))
    event = server.say("fix #58")
    server.deliver(dispatcher.port, event, retries=0)
    late = step in {
        Step.OUTCOME_SEEN,
        Step.WITNESSED,
        Step.ENDED,
        Step.UPDATED,
        Step.PINGED,
    }
    if late:
        press_when_asked(server, dispatcher)
    dispatcher.wait_dead()
    dispatcher.start()
    assert server.deliver(dispatcher.port, event).status == 200
    if not late:
        press_when_asked(server, dispatcher)
    until(lambda: finished(server), why=f"the answer ({dispatcher.log})")
    check_one_of_each(server, runs, tmp_path / "state")


def test_two_dispatchers(place, tmp_path):
    """Both hear the same message, one is killed while the job runs: the other brings it home."""
    server, make, runs = place
    one, two = make("one"), make("two")
    one.start()
    two.start()
    event = server.say("fix #58")
    for dispatcher in (one, two, one, two):
        assert server.deliver(dispatcher.port, event).status == 200
        time.sleep(1.1)
    press_when_asked(server, two)
    until(lambda: finished(server), why="the answer")
    check_one_of_each(server, runs, tmp_path / "state")
    second = server.say("fix #68")
    server.deliver(one.port, second)
    until(lambda: len(server.of_bot(event=JOB)) == 2, why="the second job's message")
    one.kill()
    message = server.of_bot(event=JOB)[1]
    until(lambda: '"text": "main"' in message.words(), why="the question")
    server.deliver_form(two.port, server.press(message, "main"))
    until(lambda: "done" in message.text, why="the other one ends it")
    assert len(runs.read_text().splitlines()) == 2


def test_sigterm_leaves_jobs_running(place, tmp_path):
    """It exits in time with 0, the job goes on, and the next one takes it over."""
    server, make, runs = place
    dispatcher = make()
    dispatcher.start()
    server.deliver(dispatcher.port, server.say("fix #58"))
    until(runs.exists, why="the job runs")
    began = time.monotonic()
    assert dispatcher.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 30
    dispatcher.start()
    press_when_asked(server, dispatcher)
    until(lambda: finished(server), why="the answer")
    check_one_of_each(server, runs, tmp_path / "state")
