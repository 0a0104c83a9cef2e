"""From a job to what is sent to the host: pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import field, frozen
from spawnery.contract import SpawnRequest
from spawnery.errors import InvalidSpec
from spawnery.model import MASK, JobSpec, Secret

MARK: Final = "SPAWNERY_JOB_MARK"
"""Variable of every process of a job; by its value they are found wherever they moved to."""

_SHORTEST_MASKED: Final = 4
"""Shorter values would be found in any text, and masking them hides nothing."""


@frozen(kw_only=True)
class Card:
    """What the host keeps of a job beside its log and its end.

    Attributes:
        job_id: The job.
        labels: All labels.
    """

    job_id: str
    labels: Mapping[str, str] = field(factory=dict)

    def dumps(self) -> str:
        """Return it as one line."""
        return json.dumps({"job_id": self.job_id, "labels": dict(self.labels)}, sort_keys=True)

    @classmethod
    def loads(cls, line: str) -> Card:
        """Read what ``dumps`` wrote.

        Raises:
            ValueError: It is something else.
        """
        found = json.loads(line)
        return cls(job_id=found["job_id"], labels=found["labels"])


def card_of(request: SpawnRequest) -> Card:
    """Return the card of a job."""
    return Card(job_id=request.job.job_id, labels=request.labels)


def program(job: JobSpec) -> tuple[str, ...]:
    """Return program and arguments.

    Raises:
        InvalidSpec: There is no program.
    """
    words = (*(job.command or ()), *(job.args or ()))
    if not words or not words[0]:
        msg = "command: a job on this engine needs a program to run"
        raise InvalidSpec(msg, field="command", job_id=job.job_id)
    return words


def start_arguments(request: SpawnRequest) -> tuple[str, ...]:
    """Return what start.sh needs to know: folder, length of the kept tail, program, arguments."""
    return (request.job.workdir or "", str(request.tail_bytes), *program(request.job))


def environment(request: SpawnRequest, mark: str) -> str:
    """Return the functions that export a job's environment and mask its secrets.

    They go through the shell's standard input into the started program and its supervisor: never
    on a command line and never on the host's disk.
    """
    secrets = {key: _plain(value) for key, value in request.secrets.items()}
    values = {**request.env, **secrets}
    hidden = _hidden(secrets.values())
    exports = [f"export {key}={shlex.quote(value)}" for key, value in values.items()]
    return "\n".join(
        [
            *("job_env() {", *exports, f"export {MARK}={mark}", "}"),
            *("mask_secrets() {", ":", *(f"mask {shlex.quote(value)}" for value in hidden), "}"),
            f"longest_secret={max((len(value.encode()) for value in hidden), default=0)}",
        ]
    )


def _hidden(secrets: Iterable[str]) -> list[str]:
    """Return what is masked, longest first: each secret, and each line of one that has several."""
    found = {part for value in secrets for part in (value, *value.splitlines())}
    return sorted((part for part in found if len(part) >= _SHORTEST_MASKED), key=len, reverse=True)


def _plain(value: object) -> str:
    if not isinstance(value, Secret):
        msg = "secrets: this engine has no secrets of its own"
        raise InvalidSpec(msg, field="secrets")
    return value.reveal()


def picture(request: SpawnRequest, *, argv: list[str], root: str) -> dict[str, Any]:
    """Return what ``plan`` shows."""
    return {
        "command": argv,
        "card": f"{root}/{request.name}",
        "labels": dict(request.labels),
        "program": list(program(request.job)),
        "workdir": request.job.workdir or f"{root}/.jobs/<id>/work",
        "env": {**request.env, **dict.fromkeys(request.secrets, MASK)},
        "stdout": f"{root}/.jobs/<id>/out",
        "stderr": f"{root}/.jobs/<id>/err",
    }
