"""The dispatcher's configuration: what ``dispatcher.toml`` may hold.

How it is read, and how the environment overrides it, is in ``configfile``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen
from spawnery.errors import InvalidSpec
from spawnery.model import PullPolicy, Resources, Security

PLACEHOLDERS: Final = (
    "job_id",
    "project",
    "issue",
    "text",
    "channel",
    "user",
    "platform",
    "redis_url",
    "repository",
)
"""What a project's ``command`` and ``args`` may hold in braces."""
AGENT_COMMAND: Final = (
    "run",
    "--headless",
    "--job-id",
    "{job_id}",
    "--redis-url",
    "{redis_url}",
    "--platform",
    "{platform}",
    "--channel-id",
    "{channel}",
    "{text}",
)
"""How the seed's agent image is started (../docs/dispatcher.md); the command text comes last."""
FORWARDED: Final = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "AZURE_DEVOPS_TOKEN",
    "JIRA_TOKEN",
    "JIRA_EMAIL",
)
"""Variables of ours that an agent gets as secrets where they are set."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]*)\}")
_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")


class Intake(enum.StrEnum):
    """How Slack's events come in."""

    OFF = "off"
    EVENTS = "events"
    """Over HTTP, signed."""
    SOCKET = "socket"
    """Over a web socket that we open; needs an app-level token."""


def _refuse(name: str, problem: str, hint: str | None = None) -> None:
    msg = f"{name}: {problem}"
    raise InvalidSpec(msg, field=name, hint=hint)


def _at_least(least: int) -> Callable[[object, Any, Any], None]:
    def check(_instance: object, attribute: Any, value: float) -> None:
        if value < least:
            _refuse(attribute.name, f"must be at least {least}, not {value:g}")

    return check


def _template(_instance: object, attribute: Any, value: tuple[str, ...] | None) -> None:
    for word in value or ():
        for found in _PLACEHOLDER.finditer(word):
            if found[1] not in PLACEHOLDERS:
                allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                _refuse(attribute.name, f"there is no {found[0]}", f"there are: {allowed}")


@frozen(kw_only=True)
class Project:
    """What an agent of one project is run as.

    Attributes:
        repository: Where its code is; for templates and for people.
        image: Image of the agent; left out on the local engine.
        command: The program (an image's own where left out); words may hold ``{job_id}`` and the
            like, which never reach a shell.
        args: Its arguments.
        env: Further plain variables.
        forward: Names of our own variables that it gets as secrets where they are set.
        resources: Requests and limits; the engine's defaults where left out.
        network: Network to join; the spawner finds one where left out.
        security: ``restricted`` (the spawner's default) or ``baseline``.
        user: User to run as.
        deadline_seconds: The job is stopped after so long.
        start_deadline_seconds: It is given up when it does not run by then.
        pull_policy: When its image is pulled.
        options: Extras of one engine.
        channels: Channels that may use it; any where empty.
    """

    repository: str = ""
    image: str | None = None
    command: tuple[str, ...] | None = field(default=None, validator=_template)
    args: tuple[str, ...] = field(default=AGENT_COMMAND, validator=_template)
    env: Mapping[str, str] = field(factory=dict)
    forward: tuple[str, ...] = FORWARDED
    resources: Resources | None = None
    network: str | None = None
    security: Security | None = None
    user: str | None = None
    deadline_seconds: float = field(default=3600.0, validator=_at_least(1))
    start_deadline_seconds: float | None = None
    pull_policy: PullPolicy | None = None
    options: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    channels: tuple[str, ...] = ()


@frozen(kw_only=True)
class Redis:
    """The bus and the memory.

    Attributes:
        url: Ours, ``redis://[user:password@]host:port/db`` or ``rediss://``.
        agent_url: What agents get, without a scheme as they read it; ours where left out.
        require_persistence: Whether ``check`` refuses a Redis without an append-only file.
    """

    url: str = "redis://127.0.0.1:6379/0"
    agent_url: str | None = None
    require_persistence: bool = True


@frozen(kw_only=True)
class Slack:
    """Slack.

    Attributes:
        intake: ``off``, ``events`` or ``socket``.
        channels: Channel ids in which we listen; any that we were invited to where empty.
        users: User ids that may give commands; everybody of the channel where empty.
        teams: Workspace ids; any where empty.
        api_url: Slack's API, for a proxy or a test.
        update_seconds: Least time between two updates of one message.
    """

    intake: Intake = Intake.OFF
    channels: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    api_url: str = "https://slack.com/api/"
    update_seconds: float = field(default=1.5, validator=_at_least(0))


@frozen(kw_only=True)
class Limits:
    """How much runs at once; what is over it waits in the queue.

    Attributes:
        jobs: Of this instance.
        per_project: Of one project.
        per_user: Of one person.
        per_channel: Of one channel: more are refused, naming the one that runs.
        queue: Most jobs that wait; more are refused.
    """

    jobs: int = field(default=20, validator=_at_least(1))
    per_project: int = field(default=10, validator=_at_least(1))
    per_user: int = field(default=5, validator=_at_least(1))
    per_channel: int = field(default=1, validator=_at_least(1))
    queue: int = field(default=1000, validator=_at_least(0))


def _hashed(_instance: object, _attribute: Any, value: str) -> None:
    if not _HASH.match(value):
        hint = "make one: spawnery-dispatcher api-key"
        _refuse("sha256", "must be the 64 hex digits of a hashed key", hint)


@frozen(kw_only=True)
class ApiKey:
    """Who may use the API.

    Attributes:
        sha256: Hash of the key; the key itself is nowhere.
        projects: Projects that it may use; all where empty.
    """

    sha256: str = field(validator=_hashed, repr=False)
    projects: tuple[str, ...] = ()


@frozen(kw_only=True)
class Server:
    """Where we listen.

    Attributes:
        host: Address.
        port: TCP port; 0 takes a free one.
        max_body_bytes: Larger requests are refused.
    """

    host: str = "127.0.0.1"
    port: int = field(default=8080, validator=_at_least(0))
    max_body_bytes: int = field(default=256 * 1024, validator=_at_least(1024))


@frozen(kw_only=True)
class Config:
    """All of ``dispatcher.toml``.

    Attributes:
        instance: Name of this installation: it owns the jobs, and is the scope of all keys.
        default_project: Taken where a command names none.
        keep_seconds: How long an ended job is remembered, so that a redelivery is not run again.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        redis, slack, server, limits: See there.
        api_keys: Name of a caller to its key.
        projects: Name to project.
    """

    instance: str = field()
    default_project: str | None = None
    keep_seconds: float = field(default=7 * 86400.0, validator=_at_least(3600))
    log_level: str = field(default="info")
    redis: Redis = field(factory=Redis)
    slack: Slack = field(factory=Slack)
    server: Server = field(factory=Server)
    limits: Limits = field(factory=Limits)
    api_keys: Mapping[str, ApiKey] = field(factory=dict, repr=False)
    projects: Mapping[str, Project] = field(factory=dict)

    @instance.validator
    def _check_instance(self, _attribute: object, value: str) -> None:
        if not _NAME.match(value):
            _refuse("instance", f"must be lower-case letters, digits and hyphens, not {value!r}")

    @projects.validator
    def _check_projects(self, _attribute: object, value: Mapping[str, Project]) -> None:
        for name in value:
            if not _NAME.match(name):
                problem = "a project's name is lower-case letters, digits and hyphens"
                _refuse(f"projects.{name}", problem)

    @log_level.validator
    def _check_level(self, _attribute: object, value: str) -> None:
        levels = ("debug", "info", "warning", "error")
        if value not in levels:
            _refuse("log_level", f"must be one of {', '.join(levels)}, not {value!r}")

    def __attrs_post_init__(self) -> None:
        if self.default_project is not None and self.default_project not in self.projects:
            _refuse("default_project", f"there is no project {self.default_project!r}")
