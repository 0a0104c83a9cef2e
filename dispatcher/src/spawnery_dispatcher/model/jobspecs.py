"""From a request and its project to a job spec: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen
from spawnery.model import JobSpec, SecretRef, label_value

from spawnery_dispatcher.config import Config, Project
from spawnery_dispatcher.model.models import Ask, Place, Platform

LABEL_PROJECT: Final = "dispatcher.spawnery.dev/project"
LABEL_ISSUE: Final = "dispatcher.spawnery.dev/issue"
LABEL_PLATFORM: Final = "dispatcher.spawnery.dev/platform"
LABEL_CHANNEL: Final = "dispatcher.spawnery.dev/channel"
LABEL_THREAD: Final = "dispatcher.spawnery.dev/thread"
LABEL_USER: Final = "dispatcher.spawnery.dev/user"
LABEL_TEAM: Final = "dispatcher.spawnery.dev/team"
"""Enough to find a job's conversation again when our memory is lost."""
LABEL_MEMORY: Final = "dispatcher.spawnery.dev/memory"
"""Which Redis the job's dispatcher has: ``Mark``."""


@frozen
class Mark:
    """What tells the Redis of one dispatcher from that of another one of the same name.

    Attributes:
        address: Digest of where agents find it.
        generation: Id of its data (``Keys.generation``); empty where it is not known.
    """

    address: str
    generation: str


def mark_of(config: Config, generation: str) -> Mark:
    """Return the mark of our own jobs."""
    without_credentials = agent_address(config).rpartition("@")[2]
    digest = hashlib.sha256(without_credentials.encode()).hexdigest()
    return Mark(address=digest[:12], generation=generation)


def mark_on(labels: Mapping[str, str]) -> Mark | None:
    """Read the mark off a job; None where it has none (versions before 0.2)."""
    address, dot, generation = labels.get(LABEL_MEMORY, "").partition(".")
    return Mark(address=address, generation=generation) if dot else None


def agent_address(config: Config) -> str:
    """Return where agents find Redis: ``host:port`` as they read it, without our credentials.

    A database other than the first has no such form; then it is a whole address.
    """
    if config.redis.agent_url is not None:
        return config.redis.agent_url
    parts = urlsplit(config.redis.url)
    address = f"{parts.hostname or '127.0.0.1'}:{parts.port or 6379}"
    database = parts.path.strip("/")
    return f"{parts.scheme}://{address}/{database}" if database not in {"", "0"} else address


def job_spec(ask: Ask, project: Project, config: Config, *, generation: str = "") -> JobSpec:
    """Make the spec of an agent's job; the same request always gives the same one.

    A person's words are arguments of their own: they reach no shell, name or label.

    Args:
        ask: The request.
        project: What it is run as.
        config: Where agents find Redis.
        generation: Of the data in Redis.

    Raises:
        InvalidSpec: The project asks for what no job may have; ``field`` names it.
    """
    redis = agent_address(config)
    values = {
        "job_id": ask.job_id,
        "project": ask.project,
        "issue": str(ask.issue),
        "text": ask.text,
        "channel": ask.place.channel,
        "user": ask.user,
        "platform": str(ask.place.platform),
        "redis_url": redis,
        "repository": project.repository,
    }
    env = {
        "PROJECT": ask.project,
        "CHANNEL_ID": ask.place.channel,
        "USER_ID": ask.user,
        "AGENTSMITH_PLATFORM": str(ask.place.platform),
        "REDIS_URL": redis,
        **({"TRACEPARENT": ask.traceparent} if ask.traceparent else {}),
        **project.env,
    }
    return JobSpec(
        job_id=ask.job_id,
        image=project.image,
        command=None if project.command is None else filled(project.command, values),
        args=filled(project.args, values),
        env=env,
        secrets={
            name: SecretRef.environment(name, optional=True)
            for name in project.forward
            if name not in env
        },
        resources=project.resources,
        network=project.network,
        labels=labels_of(ask, mark_of(config, generation)),
        user=project.user,
        deadline_seconds=project.deadline_seconds,
        start_deadline_seconds=project.start_deadline_seconds,
        pull_policy=project.pull_policy,
        security=project.security,
        options=project.options,
    )


def filled(words: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """Fill in placeholders, once: what a value holds is not looked at again."""
    return tuple(_filled(word, values) for word in words)


def _filled(word: str, values: Mapping[str, str]) -> str:
    parts = word.split("{")
    done = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        known = brace and name in values
        done.append(values[name] + rest if known else "{" + part)
    return "".join(done)


def labels_of(ask: Ask, mark: Mark) -> dict[str, str]:
    """Return what the engine's object says of a job's conversation, as label values."""
    place = ask.place
    given = {
        LABEL_PROJECT: ask.project,
        LABEL_ISSUE: str(ask.issue),
        LABEL_PLATFORM: str(place.platform),
        LABEL_CHANNEL: place.channel,
        LABEL_THREAD: place.thread,
        LABEL_USER: ask.user,
        LABEL_TEAM: place.team,
        LABEL_MEMORY: f"{mark.address}.{mark.generation}" if mark.generation else "",
    }
    return {name: label_value(value) for name, value in given.items() if value}


def place_of(labels: Mapping[str, str]) -> Place | None:
    """Read the conversation off an engine's object; None where it is not a dispatcher's."""
    platform = labels.get(LABEL_PLATFORM)
    if platform not in set(Platform):
        return None
    return Place(
        platform=Platform(platform),
        channel=labels.get(LABEL_CHANNEL, ""),
        thread=labels.get(LABEL_THREAD, ""),
        team=labels.get(LABEL_TEAM, ""),
    )
