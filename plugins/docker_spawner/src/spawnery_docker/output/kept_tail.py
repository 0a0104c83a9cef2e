"""The end of the log of a container that the engine has kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spawnery.errors import SpawnerError
from spawnery.toolkit import Tail

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.output.demux import DaemonTrouble, Demultiplexer, Malformed

LABEL_SECRETS: Final = "spawnery.dev/secrets"
"""Names (never values) of a job's secret variables: whoever reads its log's end can mask them."""

_MOST_LINES: Final = "2000"
_UNREADABLE: Final = 501


def secrets_in(config: Mapping[str, Any]) -> list[bytes]:
    """Return the values of the variables of a container that its label calls secret."""
    names = set((config.get("Labels") or {}).get(LABEL_SECRETS, "").split(","))
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return [value.encode() for name, _, value in pairs if name in names and value]


def tail_of_log(
    client: DockerClient, engine_id: str, tail: Tail, *, timeout: float
) -> tuple[str | None, str]:
    """Read the end of a log into ``tail``; returns its text, or None and the reason.

    At most 2,000 lines are asked for, so the daemon does not go through a log of gigabytes.
    """
    demux = Demultiplexer(stamped=False)
    query = {"stdout": "1", "stderr": "1"}
    if client.podman is None:  # 4.3 gives nothing where the last line has no end.
        query["tail"] = _MOST_LINES
    try:
        stream = client.stream("GET", f"/containers/{engine_id}/logs", query=query, timeout=timeout)
        try:
            while data := stream.read1():
                for name, _, said in demux.feed(data):
                    tail.add(name, said)
        finally:
            stream.close()
    except ApiError as error:
        if error.status == _UNREADABLE:
            return None, "the log driver of its container cannot be read back"
        return None, f"the engine does not give its log: {error.message}"
    except (SpawnerError, OSError, Malformed, DaemonTrouble) as error:
        return None, f"its log could not be read: {error.args[0] if error.args else error}"
    return tail.text(), ""
