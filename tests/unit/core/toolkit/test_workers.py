"""The pool of daemon threads: bounded, patient for so long, and gone when it is closed."""

from __future__ import annotations

import re
import threading
import time

import pytest
from spawnery.errors import JobRefused
from spawnery.toolkit import NestedWaitError, Workers

LIMIT = 60


def threads_of(name):
    return [t for t in threading.enumerate() if t.name.startswith(name)]


@pytest.fixture
def name(request):
    """A name of threads that no other test uses."""
    return f"w-{request.node.name}"


@pytest.fixture
def workers(name):
    """A small pool."""
    found = Workers(3, name=name)
    yield found
    found.close()


def gone(name):
    deadline = time.monotonic() + LIMIT
    while threads_of(name):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_call_returns_what_the_function_returns(workers):
    """A call is a function call in another thread."""
    assert workers.call(threading.get_ident, timeout=LIMIT) != threading.get_ident()
    assert workers.call(lambda: None, timeout=LIMIT) is None


@pytest.mark.parametrize("error", [ValueError("x"), JobRefused("no"), KeyboardInterrupt()])
def test_call_raises_what_the_function_raises(workers, error):
    """The very exception comes back, and the worker goes on."""

    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        workers.call(fail, timeout=LIMIT)
    assert caught.value is error
    assert workers.call(lambda: 1, timeout=LIMIT) == 1


def test_submit_gives_a_future(workers):
    """A future has the result or the error."""
    assert workers.submit(lambda: 7).result(LIMIT) == 7
    assert isinstance(workers.submit(lambda: 1 // 0).exception(LIMIT), ZeroDivisionError)


def test_a_cancelled_future_is_not_run(workers):
    """A task that waits for a free thread can still be cancelled."""
    go, ran = threading.Event(), []
    busy = [workers.submit(lambda: go.wait(LIMIT)) for _ in range(3)]
    late = workers.submit(lambda: ran.append(1))
    assert late.cancel()
    go.set()
    assert all(future.result(LIMIT) for future in busy)
    assert workers.submit(lambda: 1).result(LIMIT) == 1
    assert ran == []


def test_call_gives_up_in_time(workers):
    """A function that hangs is left to itself, and others are served meanwhile."""
    go = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        workers.call(lambda: go.wait(LIMIT), timeout=0.05)
    assert workers.call(lambda: 1, timeout=LIMIT) == 1
    go.set()


def test_never_more_threads_than_the_limit(workers, name):
    """Many tasks share three threads, and three run at once."""
    running, most, lock = 0, 0, threading.Lock()
    three = threading.Barrier(3)

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number < 3:
            three.wait(LIMIT)
        with lock:
            running -= 1
        return number

    futures = [workers.submit(lambda n=n: work(n)) for n in range(50)]
    assert [future.result(LIMIT) for future in futures] == list(range(50))
    assert most == 3
    assert len(threads_of(name)) == 3


def test_no_thread_before_the_first_task(workers, name):
    """A pool that is not used costs nothing, and its threads are daemons."""
    assert threads_of(name) == []
    workers.call(lambda: None, timeout=LIMIT)
    assert threads_of(name)
    assert all(thread.daemon for thread in threads_of(name))


def test_close_ends_the_threads(workers, name):
    """After close no thread of the pool is left."""
    for future in [workers.submit(lambda: None) for _ in range(10)]:
        future.result(LIMIT)
    workers.close()
    workers.close()
    assert gone(name)


def test_close_does_not_wait_for_a_hanging_task(workers, name):
    """A task that hangs keeps neither close nor the other threads; it ends when it wakes up."""
    go = threading.Event()
    with pytest.raises(TimeoutError):
        workers.call(lambda: go.wait(LIMIT), timeout=0.01)
    workers.call(lambda: None, timeout=LIMIT)
    workers.close()
    go.set()
    assert gone(name)


def test_what_was_submitted_before_close_is_done(workers):
    """Tasks in the queue at the close are still run."""
    go = threading.Event()
    futures = [workers.submit(lambda: go.wait(LIMIT)) for _ in range(6)]
    workers.close()
    go.set()
    assert [future.result(LIMIT) for future in futures] == [True] * 6


@pytest.mark.parametrize("how", ["call", "future"])
def test_a_task_that_waits_for_its_own_pool_fails(workers, how):
    """With as many of them as threads, all would wait for each other: it fails when one does."""

    def wait():
        if how == "call":
            workers.call(lambda: None, timeout=LIMIT)
        else:
            workers.submit(lambda: time.sleep(1)).result(LIMIT)

    def outer():
        with pytest.raises(NestedWaitError, match=re.escape(workers._name)):
            wait()
        return "refused"

    assert workers.call(outer, timeout=LIMIT) == "refused"


def test_a_task_may_wait_for_another_pool(workers, name):
    """Only the pool itself is refused, and a task that has ended is none to wait for."""
    other = Workers(1, name=f"{name}-other")

    def outer():
        ended = workers.submit(lambda: 1)
        while not ended.done():
            time.sleep(0.001)
        return ended.result() + other.call(lambda: 1, timeout=LIMIT)

    try:
        assert workers.call(outer, timeout=LIMIT) == 2
    finally:
        other.close()
