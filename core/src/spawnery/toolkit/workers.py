"""A bounded pool of daemon threads in which hooks run, so that a hook that hangs can be abandoned.

The standard executor joins its threads when the interpreter ends; these never keep it alive.

A task of a bounded pool must not wait for another task of that pool: with as many of them as there
are threads, all would wait for each other. Such a wait fails at once, whether or not a thread is
free, so that it shows in a test and not in a crowd.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar, cast

from attrs import frozen

from spawnery.contract.streams import start_daemon

T = TypeVar("T")

MOST_STOPS: Final = 1024
"""Jobs that may be stopped at once, each by a thread that mostly waits."""


@frozen
class _Task:
    future: Future[Any]
    function: Callable[[], Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 - belongs to the caller
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class NestedWaitError(RuntimeError):
    """A task of a bounded pool was to wait for another task of the same pool."""


class Pending(Future[T]):
    """The future of a task; to wait for it inside of its own pool is an error."""

    def __init__(self, pool: Workers) -> None:
        super().__init__()
        self._pool = pool

    def result(self, timeout: float | None = None) -> T:
        """See ``concurrent.futures.Future``.

        Raises:
            NestedWaitError: The caller is a thread of the pool, and the task has not ended.
        """
        if not self.done():
            self._pool.refuse_nested()
        return super().result(timeout)


class _Call:
    """A task that somebody waits for: lighter than a future, it is on the way of every spawn."""

    __slots__ = ("done", "error", "function", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:  # noqa: BLE001 - belongs to the caller
            self.error = error
        self.done.release()


class Workers:
    """Runs functions in at most ``limit`` threads, made when they are needed.

    Args:
        limit: Most threads at once; further calls wait for a free one.
        name: Beginning of the threads' names.
    """

    def __init__(self, limit: int = 32, *, name: str = "spawnery-worker") -> None:
        self._limit = limit
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | _Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0
        self._local = threading.local()

    def refuse_nested(self) -> None:
        """Check that the caller may wait for a task of this pool.

        Raises:
            NestedWaitError: The caller is a task of this pool itself.
        """
        if getattr(self._local, "inside", False):
            msg = f"a task of the pool {self._name} waits for another task of that pool"
            raise NestedWaitError(msg)

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Run a function in the pool."""
        future: Pending[T] = Pending(self)
        self._put(_Task(future, function))
        return future

    def _put(self, task: _Task | _Call) -> None:
        with self._lock:
            self._busy += 1
            grow = self._busy > self._threads and self._threads < self._limit
            self._threads += grow
            number = self._threads
        if grow:
            start_daemon(f"{self._name}-{number}", self._work)
        self._tasks.put(task)

    def call(self, function: Callable[[], T], *, timeout: float) -> T:
        """Run a function in the pool and wait for it.

        Raises:
            TimeoutError: It took longer; it is abandoned and may still run.
            NestedWaitError: The caller is a task of this pool itself.
        """
        self.refuse_nested()
        call = _Call(function)
        self._put(call)
        if not call.done.acquire(timeout=timeout):
            msg = f"no answer within {timeout:g} s"
            raise TimeoutError(msg)
        if call.error is not None:
            raise call.error
        return cast("T", call.result)

    def _work(self) -> None:
        self._local.inside = True
        while True:
            task = self._tasks.get()
            if task is None:
                return
            task.run()
            del task
            with self._lock:
                self._busy -= 1

    def close(self) -> None:
        """Let idle threads end; a thread that hangs in a hook is left to itself."""
        with self._lock:
            count, self._threads = self._threads, 0
        for _ in range(count):
            self._tasks.put(None)
