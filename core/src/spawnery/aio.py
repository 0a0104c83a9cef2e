"""The facade for asyncio: the same verbs, awaited; a wait takes no thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from spawnery.contract.log_text import LineDecoder, LogText, TextDecoder
from spawnery.contract.streams import JobStream
from spawnery.errors import SpawnerError, WaitTimeout
from spawnery.lifecycle.preparation import arguments
from spawnery.model.outcome import JobHandle, JobStatus, LogChunk, Outcome
from spawnery.spawner import Spawner
from spawnery.toolkit.workers import MOST_STOPS, Workers

if TYPE_CHECKING:
    from spawnery.contract.records import KnownPlace
    from spawnery.contract.requests import CheckItem
    from spawnery.lifecycle.plan import JobPlan
    from spawnery.lifecycle.reaper import Decision
    from spawnery.model.job import JobSpec

T = TypeVar("T")


class AsyncStream(AsyncIterator[T], Generic[T]):
    """A ``JobStream`` as an asynchronous iterator; ``aclose()`` ends it.

    It reads in a thread that lives as long as the stream. A read that is cancelled, by a time limit
    say, loses nothing: the next one gets the item.
    """

    def __init__(self, stream: JobStream[T]) -> None:
        self._stream = stream
        self._reader = Workers(1, name="spawnery-stream-reader")
        self._reading: Future[tuple[T, ...]] | None = None

    async def __anext__(self) -> T:
        if self._reading is None or self._reading.cancelled():
            self._reading = self._reader.submit(self._next)
        try:
            found = await asyncio.wrap_future(self._reading)
        except asyncio.CancelledError:
            raise  # What is being read is for the next call.
        except BaseException:
            self._reading = None
            raise
        self._reading = None
        if not found:
            await self.aclose()
            raise StopAsyncIteration
        return found[0]

    def _next(self) -> tuple[T, ...]:
        try:
            return (next(self._stream),)
        except StopIteration:
            return ()

    async def aclose(self) -> None:
        """End the stream."""
        self._stream.close()
        self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncLogStream(AsyncStream[LogChunk]):
    """``LogStream`` for asyncio: chunks, or ``text()`` or ``lines()`` instead."""

    async def text(self) -> AsyncIterator[LogText]:
        """See ``LogStream.text``."""
        async for piece in self._decoded(TextDecoder()):
            yield piece

    async def lines(self) -> AsyncIterator[LogText]:
        """See ``LogStream.lines``."""
        async for line in self._decoded(LineDecoder()):
            yield line

    async def _decoded(self, decoder: TextDecoder | LineDecoder) -> AsyncIterator[LogText]:
        try:
            async for chunk in self:
                for piece in decoder.feed(chunk):
                    yield piece
        except SpawnerError:
            for piece in decoder.end():
                yield piece
            raise
        for piece in decoder.end():
            yield piece


class AsyncSpawner:
    """``Spawner`` for asyncio: each verb as there, awaited.

    Use it with ``async with``. A cancelled call is abandoned, not undone: what it asked of the
    engine may still happen, and spawning the same job again finds it.
    """

    def __init__(self, spawner: Spawner, *, threads: int = 32) -> None:
        self.spawner = spawner
        self._workers = Workers(threads, name="spawnery-async")
        # What takes long must not keep short verbs waiting, least of all the stop that ends it.
        self._spawns = Workers(threads, name="spawnery-async-spawn")
        self._stops = Workers(MOST_STOPS, name="spawnery-async-stop")

    @classmethod
    async def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        config_file: str | os.PathLike[str] | None = None,
        flags: Mapping[str, str] | None = None,
    ) -> AsyncSpawner:
        """See ``Spawner.from_environment``."""
        return await cls.open(environ=environ, config_file=config_file, flags=flags)

    @classmethod
    async def open(cls, name: str | None = None, **arguments: Any) -> AsyncSpawner:
        """See ``Spawner.open``; the same arguments."""
        return cls(await asyncio.to_thread(Spawner.open, name, **arguments))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See ``Spawner.close``."""
        await self._run(self.spawner.close)
        for pool in (self._workers, self._spawns, self._stops):
            pool.close()

    async def _run(self, call: Callable[[], T], *, pool: Workers | None = None) -> T:
        return await asyncio.wrap_future((pool or self._workers).submit(call))

    async def capabilities(self) -> frozenset[str]:
        """See ``Spawner.capabilities``."""
        return await self._run(lambda: self.spawner.capabilities)

    async def spawn(self, spec: JobSpec, *, follow: bool = False) -> JobHandle:
        """See ``Spawner.spawn``."""
        return await self._run(lambda: self.spawner.spawn(spec, follow=follow), pool=self._spawns)

    async def status(self, job_id: str) -> JobStatus:
        """See ``Spawner.status``."""
        return await self._run(lambda: self.spawner.status(job_id))

    async def wait(self, job_id: str, timeout: float | None = None) -> Outcome:  # noqa: ASYNC109
        """See ``Spawner.wait``."""
        timeout = arguments.seconds("timeout", timeout)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome | SpawnerError] = loop.create_future()

        def told(result: Outcome | SpawnerError) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(_set, future, result)

        try:
            if not await self._run(lambda: self.spawner.on_end(job_id, told)):
                return await self._run(lambda: self.spawner.wait(job_id))
            result = await asyncio.wait_for(future, timeout)
        except TimeoutError:
            msg = f"job {job_id} has not ended within {timeout:g} s"
            raise WaitTimeout(msg, job_id=job_id) from None
        finally:
            self.spawner.forget_end(job_id, told)
        if isinstance(result, SpawnerError):
            raise result
        return result

    async def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        cursor: str | None = None,
        since: datetime | None = None,
        tail_bytes: int = 0,
    ) -> AsyncLogStream:
        """See ``Spawner.logs``."""
        return AsyncLogStream(
            await self._run(
                lambda: self.spawner.logs(
                    job_id, follow=follow, cursor=cursor, since=since, tail_bytes=tail_bytes
                )
            )
        )

    async def stop(self, job_id: str, *, grace_seconds: float | None = None) -> Outcome:
        """See ``Spawner.stop``."""
        return await self._run(
            lambda: self.spawner.stop(job_id, grace_seconds=grace_seconds), pool=self._stops
        )

    async def remove(self, job_id: str, *, force: bool = False) -> None:
        """See ``Spawner.remove``."""
        await self._run(lambda: self.spawner.remove(job_id, force=force), pool=self._stops)

    async def list(self) -> Sequence[JobStatus]:
        """See ``Spawner.list``."""
        return await self._run(self.spawner.list)

    async def watch(self) -> AsyncStream[JobStatus]:
        """See ``Spawner.watch``."""
        return AsyncStream(await self._run(self.spawner.watch))

    async def reap(self, *, dry_run: bool = False) -> Sequence[Decision]:
        """See ``Spawner.reap``."""
        return await self._run(lambda: self.spawner.reap(dry_run=dry_run))

    async def engine_now(self) -> datetime:
        """See ``Spawner.engine_now``."""
        return await self._run(self.spawner.engine_now)

    async def places(self) -> Sequence[KnownPlace]:
        """See ``Spawner.places``."""
        return await self._run(self.spawner.places)

    async def give_up_place(self, key: str) -> Sequence[str]:
        """See ``Spawner.give_up_place``."""
        return await self._run(lambda: self.spawner.give_up_place(key))

    async def plan(self, spec: JobSpec, *, validate: bool = False) -> JobPlan:
        """See ``Spawner.plan``."""
        return await self._run(lambda: self.spawner.plan(spec, validate=validate))

    async def check(
        self, *, probe: bool = False, probe_spec: JobSpec | None = None
    ) -> Sequence[CheckItem]:
        """See ``Spawner.check``."""
        return await self._run(lambda: self.spawner.check(probe=probe, probe_spec=probe_spec))


def _set(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
