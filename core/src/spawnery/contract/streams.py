"""Streams that can be closed from any thread while another one is blocked reading them.

A plain generator cannot: ``close()`` on it raises ``ValueError: generator already executing``.
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from spawnery.errors import SpawnerError, StreamLost

T = TypeVar("T")


class JobStream(ABC, Iterator[T], Generic[T]):
    """An iterator over what an engine sends, for ``watch`` and ``logs``.

    A clean end is ``StopIteration``; a broken one raises ``StreamLost(cursor)``. One thread reads;
    any thread may close.
    """

    @abstractmethod
    def __next__(self) -> T:
        """Wait for the next item."""

    @abstractmethod
    def close(self) -> None:
        """End the stream: idempotent, from any thread; a blocked reader stops within a second."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _End:
    """Marks the end in the queue of a ``ThreadedStream``."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class ThreadedStream(JobStream[T]):
    """A ``JobStream`` over any blocking producer, for authors of spawners.

    The producer runs in a daemon thread of its own and hands items over through a bounded queue,
    so a slow reader slows the producer down and memory stays bounded.

    Args:
        produce: Called with ``put`` and ``closed``. It calls ``put(item)`` for each item (which
            returns False once the stream is closed), returns at a clean end and raises at a
            broken one (``StreamLost`` with the cursor; anything else becomes ``StreamLost``).
        interrupt: Called once by ``close()``: wakes a producer that blocks in the engine's client,
            for example by closing its socket.
        start: Starts the thread: ``runtime.start_thread``; a plain daemon thread when absent.
        limit: Size of the queue.
        name: Name of the thread.
    """

    def __init__(
        self,
        produce: Callable[[Callable[[T], bool], threading.Event], None],
        *,
        interrupt: Callable[[], None] | None = None,
        start: Callable[[str, Callable[[], None]], object] | None = None,
        limit: int = 256,
        name: str = "spawnery-stream",
    ) -> None:
        self._produce = produce
        self._interrupt = interrupt
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self._queue: queue.Queue[T | _End] = queue.Queue(limit)
        self._end: _End | None = None
        (start or start_daemon)(name, self._run)

    def _run(self) -> None:
        end = _End(None)
        try:
            self._produce(self._put, self._closed)
        except StreamLost as lost:
            end = _End(lost)
        except BaseException as error:  # noqa: BLE001 - a producer's failure belongs to the reader
            broken = StreamLost(f"the stream broke: {type(error).__name__}")
            broken.__cause__ = error
            end = _End(broken)
        self._offer(end)

    def _put(self, item: T) -> bool:
        return self._offer(item)

    def _offer(self, item: T | _End) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def __next__(self) -> T:
        while self._end is None:
            try:
                item = self._queue.get(timeout=0.2 if self._closed.is_set() else None)
            except queue.Empty:
                break
            if isinstance(item, _End):
                self._end = item
                break
            if not self._closed.is_set():
                return item
        if self._end is not None and self._end.error is not None:
            error, self._end = self._end.error, _End(None)
            if not self._closed.is_set():
                raise error
        raise StopIteration

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
        try:
            if self._interrupt is not None:
                self._interrupt()
        finally:
            self._wake()

    def _wake(self) -> None:
        end = _End(None)
        while True:
            try:
                self._queue.put_nowait(end)
            except queue.Full:
                self._drop_one()
            else:
                return

    def _drop_one(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return


class PushStream(JobStream[T]):
    """A ``JobStream`` that others push items into; a reader that falls too far behind loses it."""

    def __init__(self, *, limit: int = 100_000, closing: Callable[[], None] | None = None) -> None:
        self._queue: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._limit = limit
        self._closing = closing
        self._closed = False
        self._dropped = False

    def push(self, item: T) -> None:
        """Hand an item to the reader; never blocks."""
        if self._closed:
            return
        if self._queue.qsize() >= self._limit:
            self.end(StreamLost("the reader is too slow: the stream was cut"))
        else:
            self._queue.put(item)

    def end(self, error: SpawnerError | None = None) -> None:
        """Let the reader come to an end, or fail, after what was pushed before."""
        self._closed = True
        self._queue.put(_End(error))

    def __next__(self) -> T:
        while not isinstance(item := self._queue.get(), _End):
            if not self._dropped:
                return item
        self._queue.put(_End(None))
        if item.error is not None and not self._dropped:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """End the stream; see ``JobStream.close``."""
        self._dropped = True
        if self._closing is not None:
            closing, self._closing = self._closing, None
            closing()
        if not self._closed:
            self.end()


class ListStream(JobStream[T]):
    """A ``JobStream`` over what is there already."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._closed = False

    def __next__(self) -> T:
        if self._closed:
            raise StopIteration
        return next(self._items)

    def close(self) -> None:
        """End the stream."""
        self._closed = True


def start_daemon(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the interpreter alive."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
