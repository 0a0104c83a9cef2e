"""What a person asks for: ``JobSpec`` and its parts, checked when they are made.

Unset is None everywhere. The spawner fills in its engine's defaults, and only what is set is
held against its capabilities (promise P5).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from attrs import field, frozen

from spawnery.model import names as naming
from spawnery.model import validators
from spawnery.model.secret import SecretRef


class PullPolicy(enum.StrEnum):
    """When the engine fetches the image."""

    ALWAYS = "always"
    IF_NOT_PRESENT = "if-not-present"
    NEVER = "never"


class Security(enum.StrEnum):
    """What the job may do to its host; see design "Security profiles"."""

    RESTRICTED = "restricted"
    BASELINE = "baseline"


@frozen(kw_only=True)
class Resources:
    """What a job needs and may use, in Kubernetes quantity notation on every engine.

    Attributes:
        memory_request, memory_limit: Bytes, for example ``512Mi``.
        cpu_request, cpu_limit: Cores, for example ``250m`` or ``1.5``.
        gpus: How many.
        ephemeral_storage: Bytes of disk.
    """

    memory_request: str | None = field(default=None, validator=validators.memory)
    memory_limit: str | None = field(default=None, validator=validators.memory)
    cpu_request: str | None = field(default=None, validator=validators.cpu)
    cpu_limit: str | None = field(default=None, validator=validators.cpu)
    gpus: int | None = field(default=None, validator=validators.positive_whole)
    ephemeral_storage: str | None = field(default=None, validator=validators.memory)

    def __attrs_post_init__(self) -> None:
        validators.request_within_limit("memory", self.memory_request, self.memory_limit)
        validators.request_within_limit("cpu", self.cpu_request, self.cpu_limit)


_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


# What a converter takes is what a type checker lets a caller give; validators look at all of it.


def _frozen(value: Any) -> Any:
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value


def _texts(value: Mapping[str, str]) -> Mapping[str, str]:
    return cast("Mapping[str, str]", _frozen(value))


def _secrets(value: Mapping[str, SecretRef]) -> Mapping[str, SecretRef]:
    return cast("Mapping[str, SecretRef]", _frozen(value))


def _options(value: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return cast("Mapping[str, Mapping[str, Any]]", _frozen(value))


def _words(value: list[str] | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) else value


def _pull_policy(value: PullPolicy | str | None) -> PullPolicy | None:
    return validators.choice("pull_policy", value, PullPolicy)


def _security(value: Security | str | None) -> Security | None:
    return validators.choice("security", value, Security)


@frozen(kw_only=True)
class JobSpec:
    """One run of one command.

    Every field but ``job_id`` may be left out; what the engine cannot do without (an image on
    Docker, a command on this machine) is said by its spawner.

    Attributes:
        job_id: DNS-1123 label of at most 52 characters; made up when absent.
        image: Image reference.
        command: The program and its first arguments (Docker: entrypoint).
        args: Further arguments (Docker: command).
        env: Environment, name to text.
        secrets: Environment whose values are secret, name to ``SecretRef``.
        resources: Requests and limits.
        network: Name of the engine's network to join.
        labels: Labels on the engine's object, beside ours.
        workdir: Absolute path to run in.
        user: ``uid``, ``uid:gid`` or a user name.
        deadline_seconds: The job is stopped when so many seconds have passed since the engine
            accepted it.
        start_deadline_seconds: The job is given up when it does not run by then.
        retention_seconds: How long the engine keeps the ended job; 0 removes it at once.
        pull_policy: When to fetch the image.
        security: ``restricted`` or ``baseline``.
        options: Extras of one engine under its name, for example ``{"docker": {...}}``.

    Raises:
        InvalidSpec: A field is not allowed; ``field`` names it.
    """

    job_id: str = field(factory=naming.generate_job_id, validator=validators.job_id)
    image: str | None = field(default=None, validator=validators.image)
    command: tuple[str, ...] | None = field(
        default=None, converter=_words, validator=validators.words
    )
    args: tuple[str, ...] | None = field(default=None, converter=_words, validator=validators.words)
    env: Mapping[str, str] = field(default=_EMPTY, converter=_texts, validator=validators.env)
    secrets: Mapping[str, SecretRef] = field(
        default=_EMPTY, converter=_secrets, validator=validators.secrets
    )
    resources: Resources | None = field(default=None, validator=validators.optional(Resources))
    network: str | None = field(default=None, validator=validators.network)
    labels: Mapping[str, str] = field(default=_EMPTY, converter=_texts, validator=validators.labels)
    workdir: str | None = field(default=None, validator=validators.workdir)
    user: str | None = field(default=None, validator=validators.user)
    deadline_seconds: float | None = field(default=None, validator=validators.positive_seconds)
    start_deadline_seconds: float | None = field(
        default=None, validator=validators.positive_seconds
    )
    retention_seconds: float | None = field(default=None, validator=validators.seconds)
    pull_policy: PullPolicy | None = field(default=None, converter=_pull_policy)
    security: Security | None = field(default=None, converter=_security)
    options: Mapping[str, Mapping[str, Any]] = field(
        default=_EMPTY, converter=_options, validator=validators.options
    )

    def __attrs_post_init__(self) -> None:
        validators.env_and_secrets_apart(self.env, self.secrets)


@frozen(kw_only=True)
class Network:
    """The network that a job joins, and how it was found (for ``plan`` and ``check``).

    Attributes:
        name: The engine's name of it.
        source: For a person: ``job spec``, ``DOCKER_NETWORK``, ``own container``, ...
    """

    name: str
    source: str
