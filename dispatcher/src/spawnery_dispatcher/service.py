"""One dispatcher: its parts, and the tasks that run as long as it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Collection, Mapping
from typing import Any, Final

from attrs import frozen
from spawnery import AsyncSpawner
from spawnery.contract import LogText, gap_in_words

from spawnery_dispatcher.config import Config
from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.model.models import Phase, Platform, Wake
from spawnery_dispatcher.store.connection import connect
from spawnery_dispatcher.store.health import Health, Patience, is_away
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.store.keys import Keys
from spawnery_dispatcher.store.leases import RENEW_SECONDS, JobLeases
from spawnery_dispatcher.talk.intake import Intake
from spawnery_dispatcher.talk.outbox import Messenger, Outbox
from spawnery_dispatcher.work.bus import Bus
from spawnery_dispatcher.work.engine_watch import EngineWatch
from spawnery_dispatcher.work.follower import Follower
from spawnery_dispatcher.work.recovery import Recovery
from spawnery_dispatcher.work.scheduler import Scheduler
from spawnery_dispatcher.work.spawns import Spawns
from spawnery_dispatcher.work.strangers import Strangers
from spawnery_dispatcher.work.waits import Waits
from spawnery_dispatcher.work.whereabouts import Whereabouts

_TICK_SECONDS: Final = 1.0
_LOG_BYTES: Final = 8192


@frozen(kw_only=True)
class Parts:
    """What the parts of a dispatcher share with those who talk to people.

    Attributes:
        config: All settings.
        store: What is remembered.
        intake: Takes commands.
        health: What answers and what does not.
        spawner: The engine.
        patience: For Redis.
        logger: structlog's.
    """

    config: Config
    store: Store
    intake: Intake
    health: Health
    spawner: AsyncSpawner
    patience: Patience
    logger: Any


class Service:
    """A dispatcher.

    Args:
        config: All settings.
        spawner: The engine, opened with the instance of the configuration.
        waits: What jobs wait for; an observer of that engine.
        metrics: Where it is counted.
        logger: structlog's.
    """

    def __init__(
        self,
        config: Config,
        spawner: AsyncSpawner,
        *,
        waits: Waits,
        metrics: Metrics,
        logger: Any,
    ) -> None:
        self._waits = waits
        keys = Keys(config.instance)
        self._redis = connect(config.redis.url)
        self._blocked = connect(config.redis.url)
        store = Store(self._redis, keys, keep_seconds=config.keep_seconds)
        health = Health()
        patience = Patience(health, logger)
        self._owner = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(4)}"
        self._leases = JobLeases(self._redis, keys, self._owner)
        self._whereabouts = Whereabouts(spawner, store, logger)
        here = self._whereabouts.here
        self._scheduler = Scheduler(store, config, here=here, metrics=metrics, logger=logger)
        self._strangers = Strangers(store, config, health, logger)
        self._recovery = Recovery(
            store, spawner, health, strangers=self._strangers, here=here, logger=logger
        )
        self._room = asyncio.Event()
        self._follower = Follower(
            spawner,
            spawns=Spawns(spawner, health, logger),
            whereabouts=self._whereabouts,
            waits=waits,
            store=store,
            bus=Bus(self._blocked, keys.wake),
            patience=patience,
            health=health,
            metrics=metrics,
            logger=logger,
        )
        intake = Intake(store, config, read_log=self._read_log, metrics=metrics, logger=logger)
        self.parts = Parts(
            config=config,
            store=store,
            intake=intake,
            health=health,
            spawner=spawner,
            patience=patience,
            logger=logger,
        )

    async def run(self, messengers: Mapping[Platform, Messenger]) -> None:
        """Dispatch until cancelled; jobs go on then.

        Args:
            messengers: Who shows jobs, by platform.
        """
        parts = self.parts
        outbox = Outbox(
            parts.store,
            messengers,
            update_seconds=parts.config.slack.update_seconds,
            patience=parts.patience,
            logger=parts.logger,
        )
        engine_watch = EngineWatch(
            parts.spawner,
            parts.health,
            self._waits,
            parts.logger,
            strangers=self._strangers,
            patience=parts.patience,
        )
        await parts.patience(lambda: self._recovery.look(()))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.listen(self._woken), name="listen")
                tasks.create_task(outbox.run(), name="outbox")
                tasks.create_task(self._schedule(), name="schedule")
                tasks.create_task(self._care(), name="care")
                tasks.create_task(self._tell_waits(), name="waits")
                tasks.create_task(engine_watch.probe(), name="probe")
                tasks.create_task(engine_watch.watch(), name="watch")
                tasks.create_task(engine_watch.reap(), name="reap")
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        ours = self._follower.job_ids
        await self._follower.close()
        try:
            await self._leases.release(ours)
        except Exception as error:
            if not is_away(error):
                raise
        await self._redis.aclose()
        await self._blocked.aclose()

    def _woken(self, job_id: str, why: Wake) -> None:
        if why is Wake.ROOM:
            self._room.set()
        elif why is Wake.MOVED:
            self._scheduler.moved(job_id)
        else:
            self._follower.cancel(job_id)

    async def _schedule(self) -> None:
        """Let jobs start: at once when there may be room, and now and then in any case."""
        while True:
            self._room.clear()
            await self.parts.patience(self._start)
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._room.wait()

    async def _start(self) -> None:
        # First: the scheduler takes what Redis remembers for all that there is.
        await self._recovery.look(self._scheduler.queued)
        started = await self._scheduler.run()
        await self._take(started)

    async def _care(self) -> None:
        """Renew what is ours, take over what nobody owns, and heed cancellations unheard of."""
        while True:
            await self.parts.patience(self._take_all)
            await self.parts.patience(self._heed)
            await asyncio.sleep(RENEW_SECONDS)

    async def _tell_waits(self) -> None:
        """Show what jobs wait for, soon after the engine tells it."""
        while True:
            for job_id, notice in self._waits.due(self._follower.job_ids).items():
                await self._follower.notice_wait(job_id, notice)
            await asyncio.sleep(_TICK_SECONDS)

    async def _heed(self) -> None:
        for job_id in await self.parts.store.cancelled(self._follower.job_ids):
            self._follower.cancel(job_id)

    async def _take_all(self) -> None:
        store = self.parts.store
        started = await store.live() - set(await store.waiting())
        ours = await self._whereabouts.split(started)
        await self._take(ours)
        self.parts.health.elsewhere = await self._whereabouts.tell(started - ours)

    async def _take(self, job_ids: Collection[str]) -> None:
        for job_id in await self._leases.take(job_ids) - self._follower.job_ids:
            entry = await self.parts.store.get(job_id)
            if entry is not None and entry.phase is not Phase.QUEUED:
                self._follower.follow(entry)

    async def _read_log(self, job_id: str) -> str:
        async with await self.parts.spawner.logs(job_id, tail_bytes=_LOG_BYTES) as log:
            return "".join([_with_gap(piece) async for piece in log.text()])


def _with_gap(piece: LogText) -> str:
    """Return the text of a piece of a log, behind a line that says what is missing before it."""
    return f"\n[{gap_in_words(piece)}]\n{piece.text}" if piece.gap else piece.text
