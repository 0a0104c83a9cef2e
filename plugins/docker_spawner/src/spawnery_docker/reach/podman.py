"""Podman behind Docker's API: how it is known, and what it cannot do (measured with 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LACKS: Final[Mapping[str, str]] = {
    "field.resources.gpus": "Podman's Docker API takes a request for GPUs and does not give any",
    "logs.gaps": "Podman keeps logs by rules of its own and does not tell what it drops",
    "oom": "Podman may not tell when memory ran out: such a job ends as killed.external",
}
"""Capabilities of this spawner that Podman does not have, with the reason."""


def version_of(headers: Mapping[str, str]) -> str | None:
    """Return Podman's version from the headers of any reply; None where it is another engine."""
    lower = {name.lower(): value for name, value in headers.items()}
    return lower.get("libpod-api-version")


def is_name_taken(message: str) -> bool:
    """Tell whether a create failed because of its name; Podman says that with status 500."""
    return "that name is already in use" in message


def is_refusal(message: str) -> bool:
    """Tell whether a create with status 500 made nothing (Podman, ``containers_create.go``)."""
    return message.startswith("container create:")
