"""Counts what happens to jobs, for a page of figures or a log line."""

from __future__ import annotations

import collections
import logging
from typing import Final

from spawnery import EventKind, JobEvent, hookimpl

_REMEMBERED: Final = 10_000
_logger: Final = logging.getLogger(__name__)


class Count:
    """Observes events; one that comes again is counted once.

    Attributes:
        counts: By kind of event; ended jobs also by their state.
    """

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._seen: collections.OrderedDict[str, None] = collections.OrderedDict()

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Count one event."""
        if event.id in self._seen:
            return
        self._seen[event.id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self.counts[event.kind] += 1
        if event.kind is EventKind.FINISHED and event.outcome is not None:
            self.counts[event.outcome.state] += 1
            _logger.info("jobs so far: %s", dict(self.counts))


EXTENSION: Final = Count()
