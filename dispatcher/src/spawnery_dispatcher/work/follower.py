"""Follows the jobs that this dispatcher owns, from the engine's taking them to their endings.

Each job has a task of its own; what agents say is read by one task for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import define, evolve
from spawnery import AsyncSpawner
from spawnery.errors import JobNotFound, SpawnerError
from spawnery.model import JobState, Outcome

from spawnery_dispatcher.metrics import Metrics
from spawnery_dispatcher.model.endings import judge
from spawnery_dispatcher.model.entries import Said, take_in
from spawnery_dispatcher.model.models import AgentEnd, Ending, Entry, Phase, Progress, Wake
from spawnery_dispatcher.model.steps import Step, reached
from spawnery_dispatcher.store.health import Health, Patience, heed_cancellation, is_away
from spawnery_dispatcher.store.jobs import Store
from spawnery_dispatcher.talk.replies import is_elsewhere, is_waiting
from spawnery_dispatcher.work.bus import Bus
from spawnery_dispatcher.work.spawns import Spawns, refused_ending
from spawnery_dispatcher.work.waits import Waits
from spawnery_dispatcher.work.whereabouts import Whereabouts

_ENGINE_PAUSE: Final = 5.0
_GAP: Final = "Some of what the agent said was lost: it wrote faster than we could read."


@define
class Followed:
    """A job that is followed.

    Attributes:
        read: Position of the last entry that was taken in.
        progress: The agent's last.
        ended: Whether its Done or Error was read.
        task: What follows it.
        stopping: What ends it, once somebody asked for that.
    """

    read: str
    progress: Progress
    ended: bool
    task: asyncio.Task[None] | None = None
    stopping: asyncio.Task[None] | None = None


class Follower:
    """Follows jobs.

    Args:
        spawner, spawns: The engine.
        whereabouts: Where jobs live.
        waits: What jobs wait for.
        store: What is remembered.
        bus: What agents say.
        patience, health: For Redis and the engine.
        metrics: Where it is counted.
        logger: structlog's.
    """

    def __init__(
        self,
        spawner: AsyncSpawner,
        *,
        spawns: Spawns,
        whereabouts: Whereabouts,
        waits: Waits,
        store: Store,
        bus: Bus,
        patience: Patience,
        health: Health,
        metrics: Metrics,
        logger: Any,
    ) -> None:
        self._spawner = spawner
        self._spawns = spawns
        self._whereabouts = whereabouts
        self._waits = waits
        self._store = store
        self._bus = bus
        self._patience = patience
        self._health = health
        self._metrics = metrics
        self._logger = logger
        self._followed: dict[str, Followed] = {}

    @property
    def job_ids(self) -> frozenset[str]:
        """The jobs that are followed."""
        return frozenset(self._followed)

    def follow(self, entry: Entry) -> None:
        """Begin to follow a job that is no longer queued; once, however often it is said."""
        if entry.job_id in self._followed or entry.ending is not None:
            return
        followed = Followed(
            read=entry.read, progress=entry.progress, ended=entry.agent_end is not None
        )
        self._followed[entry.job_id] = followed
        self._metrics.followed.set(len(self._followed))
        followed.task = asyncio.create_task(self._run(entry), name=f"follow-{entry.job_id}")
        if entry.cancelled_by:
            self.cancel(entry.job_id)

    def cancel(self, job_id: str) -> None:
        """End a job that is followed, because somebody asked for it."""
        followed = self._followed.get(job_id)
        if followed is not None and followed.stopping is None:
            followed.stopping = asyncio.create_task(self._stop(job_id), name=f"stop-{job_id}")

    async def notice_wait(self, job_id: str, notice: str) -> None:
        """Show what a job waits for, or (empty) that it does not wait any more."""

        def change(entry: Entry) -> Mapping[str, Any] | None:
            if entry.notice == notice or (not notice and not is_waiting(entry.notice)):
                return None
            return {"notice": notice}

        await self._patience(lambda: self._store.change(job_id, change))

    async def close(self) -> None:
        """Let go of all jobs; they go on."""
        tasks = [t for f in self._followed.values() for t in (f.task, f.stopping) if t is not None]
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one job -----------------------------------------------------------------------------

    async def _run(self, entry: Entry) -> None:
        try:
            await self._live(entry)
        except Exception as error:
            self._logger.exception("follow_failed", job=entry.job_id, error=type(error).__name__)
        finally:
            self._followed.pop(entry.job_id, None)
            self._waits.forget(entry.job_id)
            self._metrics.followed.set(len(self._followed))

    async def _live(self, entry: Entry) -> None:
        if is_elsewhere(entry.notice) or is_waiting(entry.notice):
            # Whoever followed it before said so; the engine's watch tells whether it is still true.
            await self._patience(lambda: self._store.change(entry.job_id, _noticed("")))
            self._waits.show_again(entry.job_id)
        if entry.phase is Phase.SPAWNING and not await self._started(entry):
            return
        outcome = entry.outcome or await self._outcome(entry.job_id)
        if outcome is None:
            self._logger.info("job_elsewhere", job=entry.job_id)
            return
        reached(Step.OUTCOME_SEEN)
        self._logger.info("job_ended", job=entry.job_id, state=outcome.state, cause=outcome.cause)
        await self._patience(lambda: self._witness(entry, outcome))
        reached(Step.WITNESSED)
        agent = await self._last_words(entry.job_id)
        now = await self._patience(self._store.clock.now)
        await self._end(entry.job_id, judge(outcome, agent, now=now))

    async def _witness(self, entry: Entry, outcome: Outcome) -> None:
        """Write the engine's word on the end, also of a job that Redis lost meanwhile."""
        if await self._store.witness(entry.job_id, outcome):
            return
        # The engine shows it no more, so nobody else takes it in again.
        known = evolve(entry, phase=Phase.RUNNING, readopted=True)
        if await self._store.readopt(known):
            await self._store.witness(entry.job_id, outcome)

    async def _end(self, job_id: str, ending: Ending) -> None:
        if await self._patience(lambda: self._store.end(job_id, ending)):
            reached(Step.ENDED)
            self._metrics.ended(ending)

    async def _started(self, entry: Entry) -> bool:
        """See to it that the engine has the job; False when it never will, and that is written."""

        async def notice(words: str) -> None:
            await self._patience(lambda: self._store.change(entry.job_id, _noticed(words)))

        error = await self._spawns.spawn(entry.spec, notice=notice)
        if error is None:
            await self._patience(
                lambda: self._store.change(
                    entry.job_id, lambda latest: {"phase": Phase.RUNNING, **_kept(latest)}
                )
            )
            reached(Step.RUNNING)
            return True
        self._logger.info("job_refused", job=entry.job_id, cause=error.cause)
        latest = await self._patience(lambda: self._store.get(entry.job_id)) or entry
        now = await self._patience(self._store.clock.now)
        await self._end(entry.job_id, refused_ending(error, latest, now=now))
        return False

    async def _outcome(self, job_id: str) -> Outcome | None:
        """Wait for the engine's word on the end, as long as it takes.

        None where the job turns out to live in another place.
        """
        while True:
            try:
                return await self._spawner.wait(job_id)
            except JobNotFound as error:
                if await self._patience(lambda: self._whereabouts.note(job_id)):
                    return None
                return Outcome(
                    state=JobState.LOST,
                    cause="lost.missing",
                    message=error.message,
                    hint="look at what it was to produce, then ask again",
                )
            except SpawnerError as error:
                self._health.engine_answers(error)
                self._logger.warning("wait_again", job=job_id, cause=error.cause)
                await asyncio.sleep(_ENGINE_PAUSE)

    async def _last_words(self, job_id: str) -> AgentEnd | None:
        """Read the agent's stream to its end: it wrote there before its program ended."""
        followed = self._followed[job_id]
        while not followed.ended:
            said = await self._patience(lambda: self._bus.rest(job_id, followed.read))
            if not said.entries:
                break
            await self._take_in((said,))
        entry = await self._patience(lambda: self._store.get(job_id))
        return entry.agent_end if entry is not None else None

    async def _stop(self, job_id: str) -> None:
        while job_id in self._followed:
            try:
                await self._spawner.stop(job_id)
            except JobNotFound:
                # Not spawned yet; the task that spawns it goes on, and so do we.
                await asyncio.sleep(_ENGINE_PAUSE / 5)
            except SpawnerError as error:
                self._logger.warning("stop_again", job=job_id, cause=error.cause)
                await asyncio.sleep(_ENGINE_PAUSE)
            else:
                return

    # -- what agents say ---------------------------------------------------------------------

    async def listen(self, woken: Callable[[str, Wake], None]) -> None:
        """Read what agents say until cancelled.

        Args:
            woken: Called when some dispatcher has changed a job, and with what that is about.
        """
        wake = await self._patience(self._bus.latest_wake)
        while True:
            positions = {key: f.read for key, f in self._followed.items() if not f.ended}
            try:
                heard = await self._bus.read(positions, wake)
                heed_cancellation()
            except Exception as error:
                if not is_away(error):
                    raise
                self._health.redis_answers(yes=False)
                await self._patience(self._bus.latest_wake)
                continue
            self._health.redis_answers(yes=True)
            await self._take_in(heard.said)
            wake = heard.wake or wake
            for job_id, why in heard.why:
                woken(job_id, why)

    async def _take_in(self, said: tuple[Said, ...]) -> None:
        changes = []
        for words in said:
            followed = self._followed.get(words.job_id)
            if followed is None:
                continue
            await self._notice_gap(words, followed)
            self._metrics.heard(len(words.entries))
            taken = take_in(words, followed.progress, ended=followed.ended)
            followed.read, followed.progress = taken.read, taken.progress
            followed.ended = followed.ended or taken.agent_end is not None
            changes.append(taken)
        if changes:
            reached(Step.HEARD)
            await self._patience(lambda: self._store.take_in(changes))
            reached(Step.TAKEN_IN)

    async def _notice_gap(self, words: Said, followed: Followed) -> None:
        """Say so where the stream was trimmed before we could read it."""
        if len(words.entries) < _SUSPICIOUS:
            return
        if await self._patience(lambda: self._bus.lost_since(words.job_id, followed.read)):
            self._logger.warning("agent_stream_gap", job=words.job_id)
            await self._patience(lambda: self._store.change(words.job_id, _noticed(_GAP)))


_SUSPICIOUS: Final = 50
"""Entries of one read from which on the stream may have been trimmed meanwhile."""


def _kept(entry: Entry) -> Mapping[str, Any]:
    """Clear the notice of a job that the engine took, but for what it waits for there."""
    return {} if is_waiting(entry.notice) else {"notice": ""}


def _noticed(words: str) -> Callable[[Entry], Mapping[str, Any] | None]:
    return lambda entry: None if entry.notice == words else {"notice": words}
