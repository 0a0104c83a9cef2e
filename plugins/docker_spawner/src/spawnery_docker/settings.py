"""Settings of the Docker spawner."""

from __future__ import annotations

from typing import Final

from attrs import frozen
from spawnery.contract import setting
from spawnery.model import PullPolicy

_POLICIES: Final = ", ".join(PullPolicy)


def _policy(value: str) -> str | None:
    return None if value in set(PullPolicy) else f"must be one of {_POLICIES}"


def _above_zero(value: float) -> str | None:
    return None if value > 0 else "must be more than 0"


@frozen(kw_only=True)
class DockerSettings:
    """``SPAWNERY_DOCKER_*`` and the table ``[docker]``; ``DOCKER_HOST`` is read beside them."""

    network: str | None = setting(
        None,
        env="DOCKER_NETWORK",
        description="Network of every job that names none; else that of our own container.",
    )
    context: str | None = setting(
        None,
        description="Docker context to use; over DOCKER_HOST, which is over DOCKER_CONTEXT."
        " The active context is not used by itself.",
    )
    pull_policy: str = setting(
        PullPolicy.IF_NOT_PRESENT.value,
        check=_policy,
        description=f"When images are pulled where a job does not say: {_POLICIES}.",
    )
    pull_timeout_seconds: float = setting(
        1800.0, check=_above_zero, description="Limit in seconds for pulling one image."
    )
    keep_tail: bool = setting(
        True,  # noqa: FBT003 - the default
        description="Whether the end of each log is listened to, for outcomes of failed jobs.",
    )
    pids_limit: int = setting(
        512, check=_above_zero, description="Most processes and threads of one job."
    )
    tmpfs_bytes: int = setting(
        256 * 1024 * 1024,
        check=_above_zero,
        description="Size in bytes of the writable /tmp and home of restricted jobs, in memory.",
    )
    log_driver: str = setting(
        "json-file", description="The engine's log driver for jobs; others may not be readable."
    )
    log_max_bytes: int = setting(
        64 * 1024 * 1024,
        check=_above_zero,
        description="Bytes on the engine's disk that the log of one job may take, with what the"
        " driver adds to each line: json-file 70, local 27. The oldest quarter goes first, and"
        " readers are told.",
    )
    allow_privileged: bool = setting(
        False,  # noqa: FBT003 - the default
        description="Whether jobs may ask for privileged, host paths and devices.",
    )
