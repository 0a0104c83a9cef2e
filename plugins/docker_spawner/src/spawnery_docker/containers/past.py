"""What the engine's kept events say of a container that is gone.

An engine keeps its last 256 events (moby, daemon/events). Newer ones cancel a start whose client
goes away, and remove the container at once where it has AutoRemove: then only these events prove
that nothing ran, and that the job may be started again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from spawnery.contract import SpawnerRuntime
from spawnery.errors import SpawnerError
from spawnery.model import JobState, JobStatus, Outcome

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.reach.http_stream import json_lines
from spawnery_docker.status import NEVER_RAN, at_nano, is_ours, status_from

ADDED: Final = frozenset({"name", "image", "exitCode", "execDuration", "signal"})
"""What the engine puts beside the labels in an event."""
_NANO: Final = 10**9


class Past:
    """Asks for it.

    Args:
        client: The engine.
        runtime: The host.
    """

    def __init__(self, client: DockerClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime

    def never_started(self, name: str) -> JobStatus | None:
        """Return the end of our last container of this name, where it was removed without a start.

        None where that is not proven: creation and removal must both be among the events, then
        a start between them would be there too. Where they are not yet there it takes up to a
        second, until the engine's present is past all doubt.
        """
        now = self._runtime.engine_clock.now()
        if now is None or self._client.podman is not None:
            return None
        created, seen = self._last(name, until=now.earliest)
        if not seen & {"start", "destroy"}:
            created, seen = self._last(name, until=now.latest)
        if created is None or "destroy" not in seen or "start" in seen:
            return None
        labels = created["Actor"]["Attributes"]
        return self._ended(created, name) if is_ours(labels, self._runtime.instance) else None

    def _last(self, name: str, *, until: datetime) -> tuple[Mapping[str, Any] | None, set[str]]:
        """Return the creation of the last container of a name, and what happened to it."""
        created, seen = None, set[str]()
        for event in self._events(name, until=until):
            actor, action = event.get("Actor") or {}, event.get("Action")
            if (actor.get("Attributes") or {}).get("name") != name:
                continue
            if action == "create":
                created, seen = event, set()
            elif created is not None and actor.get("ID") == created["Actor"]["ID"]:
                seen.add(str(action))
        return created, seen

    def _ended(self, created: Mapping[str, Any], name: str) -> JobStatus:
        labels = created["Actor"]["Attributes"]
        return status_from(
            {key: value for key, value in labels.items() if key not in ADDED},
            name=name,
            engine_id=created["Actor"]["ID"],
            accepted_at=at_nano(int(created["timeNano"])),
            launched=False,
            outcome=Outcome(
                state=JobState.FAILED,
                cause="start.failed",
                message="the container was removed before it was started: the program never ran",
                hint="spawn it again",
                log_tail_missing=NEVER_RAN,
            ),
        )

    def _events(self, name: str, *, until: datetime) -> Iterator[Mapping[str, Any]]:
        """Read the events of a name, the oldest first; none where they are not to be had."""
        nano = int(until.timestamp() * _NANO)
        query = {
            "since": "1",
            "until": f"{nano // _NANO}.{nano % _NANO:09d}",
            "filters": json.dumps(
                {
                    "type": ["container"],
                    "container": [name],
                    "event": ["create", "start", "destroy"],
                }
            ),
        }
        timeout = self._runtime.io_timeout_seconds
        try:
            stream = self._client.stream("GET", "/events", query=query, timeout=timeout)
            with contextlib.closing(stream):
                events = list(json_lines(stream))
        except (SpawnerError, ApiError, OSError):
            return
        yield from events
