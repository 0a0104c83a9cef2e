"""What people do with a dispatcher on Slack in the tests of faults: ask, look, press a button."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dispatcher_case import Dispatcher, until
from redis_case import RedisServer
from slack_server import USER, Answer, Message, SlackServer

JOB, ENDED = "spawnery_job", "spawnery_ended"
COUNTED = 'echo $$ >>"$0"; exec "$1" -m spawnery_agent.demo --pause 0.1 "${@:2}"'


def counted_project(runs: Path) -> str:
    """A project whose agent leaves its process id each time it is started."""
    command = ["bash", "-c", COUNTED, str(runs), sys.executable]
    return f"command = {json.dumps(command)}\nforward = []"


class Story:
    """One Slack, one Redis, and the dispatchers of one instance.

    Args:
        folder: For all of it.
        slack: The server.
        redis: The server; its address is what dispatchers get.
        project: Lines of the project; an agent on this machine that is counted where left out.
    """

    def __init__(
        self, folder: Path, slack: SlackServer, redis: RedisServer, project: str | None = None
    ) -> None:
        self.slack = slack
        self.redis = redis
        self._folder = folder
        self._runs = folder / "runs"
        self._project = project or counted_project(self._runs)
        self._made: list[Dispatcher] = []

    def dispatcher(self, name: str = "one", **given: Any) -> Dispatcher:
        """Make a dispatcher; it is ended with the story."""
        environ = {
            "SPAWNERY_STATE_DIR": str(self._folder / "state"),
            **given.pop("environ", {}),
        }
        made = Dispatcher(
            self._folder / name,
            self.redis.url,
            slack_api=self.slack.api_url,
            environ=environ,
            project=self._project,
            **given,
        )
        self._made.append(made)
        return made

    def close(self) -> None:
        """End what runs."""
        for dispatcher in self._made:
            if dispatcher.alive:
                dispatcher.end()

    # -- what people do ----------------------------------------------------------------------

    def ask(self, dispatcher: Dispatcher, issue: int, *, user: str = USER) -> dict[str, Any]:
        """Say "fix #issue" and see that it is taken; returns the event."""
        event = self.slack.say(f"fix #{issue}", user=user)
        assert self.slack.deliver(dispatcher.port, event).status == 200
        return event

    def message(self, issue: int) -> Message:
        """Return the one message of an issue's job, as soon as there is one."""
        found = until(lambda: self._messages(issue), why=f"the message of #{issue}")
        assert len(found) == 1
        return found[0]

    def job_id(self, issue: int) -> str:
        """Return the id of an issue's job."""
        metadata = self.message(issue).metadata or {}
        return str(metadata["event_payload"]["job_id"])

    def _messages(self, issue: int) -> list[Message]:
        return [m for m in self.slack.of_bot(event=JOB) if f"#{issue} " in m.text]

    def shows(self, issue: int, words: str) -> Message:
        """Wait until the message of an issue's job shows words."""
        message = self.message(issue)
        until(lambda: words in message.words(), why=f"#{issue} shows {words!r}")
        return message

    def asks(self, issue: int) -> Message:
        """Wait until the agent asks."""
        return self.shows(issue, '"text": "main"')

    def press(self, dispatcher: Dispatcher, issue: int, label: str = "main") -> None:
        """Press a button of a job's message, again until that is taken."""
        message = self.shows(issue, f'"text": "{label}"')

        def pressed() -> Answer | None:
            payload = self.slack.press(message, label)
            answer = self.slack.deliver_form(dispatcher.port, payload)
            return answer if answer.status == 200 else None

        until(pressed, why="the button is taken")

    def fixed(self, issue: int) -> None:
        """Wait until a job is told as done: in one message and one ping."""
        self.shows(issue, ": done")
        job_id = self.job_id(issue)
        until(lambda: self.slack.of_bot(event=ENDED, job_id=job_id), why=f"the ping of #{issue}")
        assert len(self.slack.of_bot(event=ENDED, job_id=job_id)) == 1
        assert len(self._messages(issue)) == 1

    @property
    def runs(self) -> int:
        """How many agents were started on this machine."""
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0

    def kill_agent(self) -> None:
        """Kill the agent that was started last."""
        os.kill(int(self._runs.read_text().splitlines()[-1]), signal.SIGKILL)

    def replies(self, event: dict[str, Any]) -> list[str]:
        """Return our words in the thread of a message of theirs."""
        thread = event["event"]["ts"]
        return [m.text for m in self.slack.of_bot() if m.thread_ts == thread]


@contextmanager
def told(
    folder: Path, redis: RedisServer, *, host: str = "127.0.0.1", project: str | None = None
) -> Iterator[Story]:
    """Tell a story; its dispatchers end with it."""
    with SlackServer(host) as slack:
        story = Story(folder, slack, redis, project)
        try:
            yield story
        finally:
            story.close()


def readiness(dispatcher: Dispatcher) -> tuple[int, dict[str, Any]]:
    """Ask a dispatcher whether it is ready; status 0 where it does not answer."""
    status, text = dispatcher.get("/readyz")
    return status, json.loads(text) if text else {}
