"""Which version of the engine's API is spoken, and what is no engine at all: pure.

The package (7.1, 7.2) asks ``GET /version`` when a client is made, which a socket proxy may forbid,
then speaks the engine's newest version, which nobody has tried with this code, and fails for good
when the engine is replaced by one that no longer speaks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spawnery.errors import EngineError, EngineUnreachable

OLDEST: Final = (1, 40)
"""Docker 19.03; older ones are not tried."""
NEWEST: Final = (1, 44)
"""The newest that this was written for; newer engines still speak it (Docker 29: 1.44 to 1.52)."""
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\Z")
_REFUSED: Final = re.compile(
    r"client version \S+ is too (?P<side>old|new)\b.*?(?P<major>\d+)\.(?P<minor>\d+)", re.DOTALL
)


def agree(headers: Mapping[str, str], *, told: str, status: int = 200) -> str:
    """Choose the version to speak from the headers of any reply.

    Args:
        headers: Of a reply; every reply of an engine names its version as ``Api-Version``.
        told: The engine's address, for a person.
        status: Of that reply, as evidence.

    Raises:
        EngineError: It is no engine (``engine.not_docker``), or too old (``engine.too_old``).
    """
    lower = {name.lower(): value for name, value in headers.items()}
    match = _VERSION.match(lower.get("api-version", "").strip())
    if match is None:
        raise not_docker(told, f"status {status}, server {lower.get('server', 'unnamed')[:80]!r}")
    theirs = (int(match[1]), int(match[2]))
    if theirs < OLDEST:
        needed = ".".join(map(str, OLDEST))
        msg = f"the engine at {told} speaks API {match[0]}; at least {needed} is needed"
        hint = "use Docker 19.03 or newer (the same engine: docker version)"
        raise EngineError(msg, cause="engine.too_old", hint=hint)
    return ".".join(map(str, min(theirs, NEWEST)))


def renegotiated(message: str, *, told: str) -> str | None:
    """Choose again when the engine refused the version that we spoke: it was up- or downgraded.

    Args:
        message: The engine's words with status 400 (moby, server/middleware/version.go).
        told: The engine's address, for a person.

    Returns:
        The version to speak, None where the message is about something else.

    Raises:
        EngineUnreachable: We speak none that it takes (``engine.too_new``, ``engine.too_old``).
    """
    match = _REFUSED.search(message)
    if match is None:
        return None
    bound = (int(match["major"]), int(match["minor"]))
    if match["side"] == "new":
        if bound >= OLDEST:
            return ".".join(map(str, min(bound, NEWEST)))
        msg = f"the engine at {told} speaks no API newer than {bound[0]}.{bound[1]}"
        hint = "use Docker 19.03 or newer (the same engine: docker version)"
        raise EngineUnreachable(msg, cause="engine.too_old", hint=hint)
    if bound <= NEWEST:
        return ".".join(map(str, NEWEST))
    newest = ".".join(map(str, NEWEST))
    msg = (
        f"the engine at {told} speaks no API older than {bound[0]}.{bound[1]}, and this version of"
        f" Spawnery none newer than {newest}"
    )
    hint = "update spawnery-docker, or lower the engine's DOCKER_MIN_API_VERSION"
    raise EngineUnreachable(msg, cause="engine.too_new", hint=hint)


def not_docker(told: str, evidence: str) -> EngineError:
    """Say that something else answers at the engine's address.

    Args:
        told: The address, for a person.
        evidence: What it answered.
    """
    msg = f"what answers at {told} is no Docker engine ({evidence})"
    hint = "look at the address: echo $DOCKER_HOST; a TLS port needs DOCKER_TLS_VERIFY=1"
    return EngineError(msg, cause="engine.not_docker", hint=hint)
