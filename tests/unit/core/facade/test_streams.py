"""Streams: closing from another thread, what a broken one says, bounded memory, no thread left."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from spawnery import ThreadedStream
from spawnery.contract.streams import ListStream, PushStream
from spawnery.errors import SpawnerError, StreamLost

LIMIT = 60


def until(condition, what):
    """Poll until something holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


class Started:
    """Starts threads for a stream and remembers them."""

    def __init__(self):
        self.threads = []

    def __call__(self, name, run):
        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def all_ended(self):
        for thread in self.threads:
            thread.join(LIMIT)
        return len(self.threads) > 0 and not any(t.is_alive() for t in self.threads)


class Reader:
    """Reads a stream in a thread of its own."""

    def __init__(self, stream):
        self.items = []
        self.error = None
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            self.items.extend(self._stream)
        except BaseException as error:
            self.error = error

    def join(self):
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the reader is still blocked"
        return self


@pytest.fixture
def start():
    """Starts threads; all of them have ended when the test is over."""
    found = Started()
    yield found
    assert not found.threads or found.all_ended()


def waiting(_put, closed):
    """Produce nothing until the stream is closed."""
    closed.wait(LIMIT)


def endless(put, _closed):
    """Produce for as long as somebody takes it."""
    number = 0
    while put(number):
        number += 1


# -- ThreadedStream ------------------------------------------------------------------------------


def test_items_come_in_order_and_the_end_stays(start):
    """All items arrive in order; after the end there is only the end."""
    stream = ThreadedStream(lambda put, _closed: [put(n) for n in range(1000)], start=start)
    assert list(stream) == list(range(1000))
    assert list(stream) == []
    assert start.all_ended()


def test_the_thread_has_the_name_and_is_no_obstacle():
    """The thread is named, and a daemon: it never keeps the interpreter alive."""
    stream = ThreadedStream(waiting, name="spawnery-test-stream")
    mine = [t for t in threading.enumerate() if t.name == "spawnery-test-stream"]
    assert [t.daemon for t in mine] == [True]
    stream.close()
    mine[0].join(LIMIT)
    assert not mine[0].is_alive()


def test_close_wakes_a_blocked_reader(start):
    """A reader that waits for the next item stops when another thread closes the stream."""
    stream = ThreadedStream(waiting, start=start)
    reader = Reader(stream)
    stream.close()
    assert reader.join().error is None
    assert reader.items == []


def test_close_interrupts_a_blocked_producer(start):
    """A producer that blocks in its engine's client is woken by closing the client."""
    ours, theirs = socket.socketpair()
    inside = threading.Event()

    def produce(put, _closed):
        inside.set()
        put(ours.recv(1))

    stream = ThreadedStream(produce, interrupt=lambda: ours.shutdown(socket.SHUT_RD), start=start)
    reader = Reader(stream)
    assert inside.wait(LIMIT)
    stream.close()
    assert reader.join().error is None
    assert start.all_ended()
    ours.close()
    theirs.close()


def test_a_failing_interrupt_still_wakes_the_reader(start):
    """Even when the client cannot be interrupted, the reader stops."""

    def interrupt():
        raise OSError

    stream = ThreadedStream(waiting, interrupt=interrupt, start=start)
    reader = Reader(stream)
    with pytest.raises(OSError):
        stream.close()
    reader.join()


def test_close_interrupts_once(start):
    """Closing again does nothing, from several threads too."""
    calls = []
    stream = ThreadedStream(waiting, interrupt=lambda: calls.append(1), start=start)
    threads = [threading.Thread(target=stream.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    stream.close()
    assert calls == [1]
    assert list(stream) == []


def test_closing_ends_a_producer_with_a_full_queue(start):
    """A producer that waits for room learns of the end, and its thread ends."""
    stream = ThreadedStream(endless, start=start, limit=2)
    assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    stream.close()
    assert start.all_ended()
    assert list(stream) == []


def test_a_slow_reader_slows_the_producer_down(start):
    """Never more than the queue's size is ahead of the reader."""
    produced = []

    def produce(put, _closed):
        for number in range(100):
            produced.append(number)
            put(number)

    stream = ThreadedStream(produce, start=start, limit=4)
    for number in range(100):
        until(lambda: len(produced) >= min(number + 5, 100), "the producer stopped")  # noqa: B023
        assert len(produced) <= number + 5
        assert next(stream) == number
    assert list(stream) == []


def test_with_closes(start):
    """Leaving the context ends the stream and its thread."""
    with ThreadedStream(endless, start=start) as stream:
        assert next(stream) == 0
    assert start.all_ended()


def test_a_lost_stream_tells_the_cursor(start):
    """A producer's StreamLost reaches the reader after all items, with its cursor, once."""

    def produce(put, _closed):
        put(1)
        raise StreamLost("gone", cursor="c7")

    stream = ThreadedStream(produce, start=start)
    assert next(stream) == 1
    with pytest.raises(StreamLost) as caught:
        next(stream)
    assert caught.value.cursor == "c7"
    assert caught.value.retryable
    assert list(stream) == []


@pytest.mark.parametrize("error", [ValueError("token-in-text"), SystemExit(1)])
def test_a_foreign_exception_becomes_stream_lost(start, error):
    """What a client raises is a lost stream, with the kind of the error and not its text."""

    def produce(_put, _closed):
        raise error

    with pytest.raises(StreamLost, match=type(error).__name__) as caught:
        next(ThreadedStream(produce, start=start))
    assert caught.value.__cause__ is error
    assert "token-in-text" not in str(caught.value)


def test_an_error_after_close_is_no_error(start):
    """A client that fails because we closed it does not trouble the reader."""

    def produce(_put, closed):
        closed.wait(LIMIT)
        raise OSError

    stream = ThreadedStream(produce, start=start)
    reader = Reader(stream)
    stream.close()
    assert reader.join().error is None


def test_an_error_that_nobody_read_before_close(start):
    """Whoever closes a broken stream gets no error from it any more."""

    def produce(_put, _closed):
        raise StreamLost("gone")

    stream = ThreadedStream(produce, start=start)
    assert start.all_ended()
    stream.close()
    assert list(stream) == []


# -- PushStream ----------------------------------------------------------------------------------


def test_pushed_items_come_in_order():
    """What was pushed before the end is read before the end."""
    stream = PushStream()
    for number in range(100):
        stream.push(number)
    stream.end()
    stream.push(100)
    assert list(stream) == list(range(100))
    assert list(stream) == []


def test_push_stream_close_wakes_a_blocked_reader():
    """A reader that waits stops when another thread closes the stream; the source is told once."""
    told = []
    stream = PushStream(closing=lambda: told.append(1))
    reader = Reader(stream)
    stream.close()
    stream.close()
    assert reader.join().error is None
    assert told == [1]


def test_a_closed_push_stream_yields_nothing_more():
    """What was not read at the close is dropped."""
    stream = PushStream()
    stream.push(1)
    stream.close()
    assert list(stream) == []


def test_push_stream_with_an_error():
    """The end may be an error; it is raised once, after the items."""
    stream = PushStream()
    stream.push(1)
    stream.end(SpawnerError("closed", cause="spawner.closed"))
    assert next(stream) == 1
    with pytest.raises(SpawnerError, match="closed"):
        next(stream)
    assert list(stream) == []


def test_a_reader_that_is_too_slow_loses_the_stream():
    """Memory stays bounded: the stream is cut, and the reader is told so after what it got."""
    stream = PushStream(limit=10)
    for number in range(1000):
        stream.push(number)
    assert stream._queue.qsize() == 11
    assert [next(stream) for _ in range(10)] == list(range(10))
    with pytest.raises(StreamLost, match="too slow"):
        next(stream)
    stream.push(1)
    assert list(stream) == []


# -- ListStream ----------------------------------------------------------------------------------


def test_list_stream():
    """A stream over what is there ends by itself, or at close."""
    assert list(ListStream(iter([1, 2]))) == [1, 2]
    with ListStream(iter([1, 2])) as stream:
        assert next(stream) == 1
    assert list(stream) == []
