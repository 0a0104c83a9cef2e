"""What a person asks for, and what the dispatcher remembers of a job."""

from __future__ import annotations

import enum
from datetime import datetime

from attrs import field, frozen
from spawnery.model import JobState, Outcome


class Platform(enum.StrEnum):
    """Where a request comes from, and where its answer goes."""

    SLACK = "slack"
    API = "api"
    CHAT = "chat"


@frozen(kw_only=True)
class Place:
    """Where a conversation happens.

    Attributes:
        platform: Which kind of place.
        channel: Channel id on Slack; the key's name for the API; ``terminal`` for chat.
        thread: Timestamp of the message that a thread hangs under; empty where there are none.
        team: The workspace on Slack.
    """

    platform: Platform
    channel: str
    thread: str = ""
    team: str = ""


@frozen(kw_only=True)
class Ask:
    """One request for a job, as a person made it.

    Attributes:
        job_id: Derived from the delivery, so that a redelivery is the same job.
        project: Name of a project of the configuration.
        issue: Number of the issue to work on.
        text: The command as it is handed to the agent, for example ``fix #58 in demo``.
        user: Who asked: the platform's id.
        place: Where.
        asked_at: When, by the platform's clock where it tells.
        traceparent: W3C trace context that the request came with, or one made here.
    """

    job_id: str
    project: str
    issue: int
    text: str
    user: str
    place: Place
    asked_at: datetime
    traceparent: str = ""


class Phase(enum.StrEnum):
    """Where a job stands in the dispatcher."""

    QUEUED = "queued"
    """Accepted; waits for room under the limits."""
    SPAWNING = "spawning"
    """The engine is being asked, or will be asked again."""
    RUNNING = "running"
    """The engine has it."""
    ENDED = "ended"
    """Its ending is written; nothing changes any more but its messages."""


class Wake(enum.StrEnum):
    """Why dispatchers are woken."""

    ROOM = "room"
    """A job waits that did not, or one is over: jobs may start."""
    MOVED = "moved"
    """A job is in another phase: its agent may say something."""
    CANCELLED = "cancelled"
    """Somebody wants a job ended."""


@frozen(kw_only=True)
class Progress:
    """The last thing that the agent said of its progress.

    Attributes:
        step: From 1; 0 where it did not say.
        total: How many steps there are; 0 where it did not say.
        text: In its words.
        detail: What it said since, in smaller steps.
    """

    step: int = 0
    total: int = 0
    text: str = ""
    detail: str = ""


@frozen(kw_only=True)
class Question:
    """What the agent wants to know.

    Attributes:
        question_id: Of the agent's making; answers carry it.
        text: The question.
        context: Further explanation.
        choices: Labels to choose from; a free text is always allowed.
        default: What the agent takes when nobody answers.
        timeout_seconds: How long it waits; 0 where it did not say.
    """

    question_id: str
    text: str
    context: str = ""
    choices: tuple[str, ...] = ()
    default: str = ""
    timeout_seconds: float = 0


@frozen(kw_only=True)
class AgentEnd:
    """How the agent itself says that it ended.

    Attributes:
        done: Whether it says Done (Error otherwise).
        text: Its summary, or what went wrong.
        url: The pull request, where it made one.
        step_name: What it was at when it failed.
    """

    done: bool
    text: str = ""
    url: str = ""
    step_name: str = ""


@frozen(kw_only=True)
class Ending:
    """How a job ended, by all evidence; written once.

    Attributes:
        state: SUCCEEDED, FAILED, CANCELLED, TIMED_OUT or LOST.
        cause: Stable code: the outcome's, or ``agent.error``, ``agent.silent``.
        message: For a person.
        hint: The next step, where there is one.
        url: The pull request, where the agent made one.
        log_tail: The end of the log of a job that failed, masked.
        exit_code: The program's own, where one was seen.
        ended_at: When this was decided.
    """

    state: JobState
    cause: str
    message: str
    ended_at: datetime
    hint: str | None = None
    url: str = ""
    log_tail: str | None = None
    exit_code: int | None = None


@frozen(kw_only=True)
class Entry:
    """All that the dispatcher remembers of one job.

    Attributes:
        ask: The request.
        phase: Where it stands.
        position: Its place in the queue, from 1, where it waits; 0 until that is known.
        progress, question: The last that the agent said.
        agent_end: How the agent says that it ended.
        outcome: How the engine says that it ended.
        ending: How it ended.
        message: Timestamp of the job's one message; empty until it is posted.
        read: Id of the last entry of the agent's stream that was taken in.
        notice: What a person should know of the job's way (engine not reachable, ...); what to do
            next is on a line of its own.
        cancelled_by: Who asked for its cancellation.
        readopted: Whether it was found at the engine after the state was lost.
        spec: Its job spec as JSON, as it was when it was first spawned: a changed configuration
            does not change a job that is under way.
        engine_place: Key of the place where it was spawned (``spawnery places``); empty where
            that is not known: of a job of a version before 0.2, and where engines have none.
        answered: Id of the last question that was answered.
        pinged: Timestamp of the message that tells who asked of the end.
    """

    ask: Ask
    phase: Phase = Phase.QUEUED
    position: int = 0
    progress: Progress = field(factory=Progress)
    question: Question | None = None
    agent_end: AgentEnd | None = None
    outcome: Outcome | None = None
    ending: Ending | None = None
    message: str = ""
    read: str = "0-0"
    notice: str = ""
    cancelled_by: str = ""
    readopted: bool = False
    spec: str = ""
    engine_place: str = ""
    answered: str = ""
    pinged: str = ""

    @property
    def job_id(self) -> str:
        """The job."""
        return self.ask.job_id

    @property
    def open_question(self) -> Question | None:
        """The agent's question, until it is answered."""
        question = self.question
        return None if question and question.question_id == self.answered else question


@frozen(kw_only=True)
class Accepted:
    """A job that is in the store.

    Attributes:
        entry: As it stands.
        new: Whether this delivery brought it; otherwise it was there (a redelivery).
    """

    entry: Entry
    new: bool


@frozen(kw_only=True)
class Refused:
    """A job that is not taken in.

    Attributes:
        reason: ``issue`` (somebody works on it), ``channel`` (full) or ``queue`` (full).
        running: Id of the job that is in the way; empty for ``queue``.
    """

    reason: str
    running: str = ""


@frozen(kw_only=True)
class Reply:
    """What is said at once to who gave a command.

    Attributes:
        text: In words.
        entry: The job that it is about, if any.
        new: Whether that job was taken in by this command.
        problem: Whether nothing was done because something is wrong with what was asked.
    """

    text: str
    entry: Entry | None = None
    new: bool = False
    problem: bool = False
