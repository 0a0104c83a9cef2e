"""Brings the messages of jobs up to date: what is due is sent, and sent again until it arrives.

A job has one message. What it shows is made from the job's entry at the time of sending, so a lost
update is made good by the next, and the final answer is an update that may be sent twice. Only the
first post could double it: it is made under a lock, and looked for in the conversation before it is
repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from spawnery_dispatcher.model.models import Entry, Platform
from spawnery_dispatcher.model.steps import Step, reached
from spawnery_dispatcher.store.health import Patience
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.talk.replies import View, view

_POLL_SECONDS: Final = 0.25
_POSTING_SECONDS: Final = 30
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_AT_ONCE: Final = 16


class PutOff(Exception):
    """The platform wants the message later.

    Args:
        seconds: How much later; None for a pause that grows with each failure.
        why: For the log.
    """

    def __init__(self, seconds: float | None, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds


class Unwanted(Exception):
    """The platform will never take this message: the channel is gone, or we were put out of it."""


class Messenger(Protocol):
    """Shows jobs on one platform. Every method raises ``PutOff`` or ``Unwanted`` alone."""

    async def post(self, entry: Entry, shown: View, *, again: bool) -> str:
        """Post a job's message; returns what it is found by later.

        ``again``: it may have been posted before; it is looked for in the conversation first.
        """

    async def update(self, entry: Entry, shown: View) -> None:
        """Change a job's message."""

    async def ping(self, entry: Entry) -> str:
        """Tell whoever asked that it is over, unless the conversation shows that it was done."""


class Outbox:
    """Sends.

    Args:
        store: What is remembered.
        messengers: By platform; jobs of others have no messages.
        update_seconds: Least seconds between two updates of one message.
        patience: For Redis.
        logger: structlog's.
    """

    def __init__(
        self,
        store: Store,
        messengers: Mapping[Platform, Messenger],
        *,
        update_seconds: float,
        patience: Patience,
        logger: Any,
    ) -> None:
        self._store = store
        self._messengers = messengers
        self._update_seconds = update_seconds
        self._patience = patience
        self._logger = logger
        self._failures: dict[str, int] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Send what is due until cancelled."""
        while True:
            due = await self._patience(self._store.due)
            await asyncio.gather(*(self._bring(job_id) for job_id in due))
            await asyncio.sleep(_POLL_SECONDS)

    async def _bring(self, job_id: str) -> None:
        async with self._room:
            try:
                await self._patience(lambda: self._send(job_id))
            except PutOff as off:
                failures = self._failures[job_id] = self._failures.get(job_id, 0) + 1
                growing = min(_FIRST_PAUSE * 2 ** min(failures, 10), _LONGEST_PAUSE)
                seconds = growing if off.seconds is None else off.seconds
                self._logger.warning("message_put_off", job=job_id, seconds=seconds, why=str(off))
                await self._patience(lambda: self._store.later(job_id, seconds))
            except Unwanted as error:
                self._logger.warning("message_unwanted", job=job_id, why=str(error))
                await self._done(job_id)
            else:
                self._failures.pop(job_id, None)

    async def _done(self, job_id: str) -> None:
        self._failures.pop(job_id, None)
        version = await self._patience(lambda: self._store.version(job_id))
        await self._patience(lambda: self._store.shown(job_id, version))

    async def _send(self, job_id: str) -> None:
        entry, version = await self._store.latest(job_id)
        messenger = self._messengers.get(entry.ask.place.platform) if entry is not None else None
        if entry is None or messenger is None:
            await self._store.shown(job_id, version)
            return
        shown = view(entry)
        if not entry.message and not await self._alone(job_id, self._post, shown, messenger):
            return
        if entry.message:
            await messenger.update(entry, shown)
        if entry.ending is not None and not entry.pinged:
            reached(Step.UPDATED)
            if not await self._alone(job_id, self._ping, shown, messenger):
                return
        await self._store.shown(job_id, version, again_after=self._update_seconds)

    async def _alone(
        self,
        job_id: str,
        do: Callable[[Entry, View, Messenger], Awaitable[None]],
        shown: View,
        messenger: Messenger,
    ) -> bool:
        """Do what must not be doubled; False when another dispatcher is at it."""
        lock, redis = self._store.keys.posting(job_id), self._store.redis
        if not await redis.set(lock, "1", nx=True, ex=_POSTING_SECONDS):
            return False
        try:
            entry = await self._store.get(job_id)
            if entry is not None:
                await do(entry, shown, messenger)
        finally:
            await redis.delete(lock)
        return True

    async def _post(self, entry: Entry, shown: View, messenger: Messenger) -> None:
        if entry.message:
            return
        tried = await self._store.remember(entry.job_id, tried="1")
        reached(Step.POSTING)
        message = await messenger.post(entry, shown, again=tried)
        reached(Step.POSTED)
        await self._store.remember(entry.job_id, message=message)

    async def _ping(self, entry: Entry, _shown: View, messenger: Messenger) -> None:
        if entry.pinged:
            return
        pinged = await messenger.ping(entry)
        reached(Step.PINGED)
        await self._store.remember(entry.job_id, pinged=pinged)
