"""Logs and watch: what a stream promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from spawnery.contract.requests import WatchRequest
from spawnery.contract.streams import JobStream
from spawnery.errors import StreamLost
from spawnery.model.outcome import JobGone, JobSeen, JobState, LogChunk, Synced, WatchEvent
from spawnery.testing import caller
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import (
    WAKE,
    Suite,
    Timer,
    finished,
    kept,
    log_of,
    need,
    need_faults,
    need_shared,
    read,
    until_ready,
)
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_FLOOD = 3_000_000


class Streams(Suite):
    """Streams end, break, resume and close as the contract says."""

    # -- logs --------------------------------------------------------------------------------

    @promise("streams")
    def test_follow_ends_with_the_job(self, bench: Bench, spawner: Spawner) -> None:
        """Following a log yields all of it while it is written, and ends when the job does."""
        need(spawner, "logs.follow")
        command = bench.commands.prints_slowly(5, 0.1)
        spawner.spawn(bench.spec(command, job_id="follow"), follow=True)
        text = log_of(spawner, "follow", follow=True).decode()
        assert text.splitlines() == [f"line {n}" for n in range(1, 6)]
        assert spawner.wait("follow", timeout=PATIENCE).state is JobState.SUCCEEDED

    @promise("streams")
    def test_follow_of_a_quick_job_loses_nothing(self, bench: Bench, spawner: Spawner) -> None:
        """The log of a job that ends at once is whole for the caller who asked to follow it."""
        need(spawner, "logs.follow")
        for number in range(5):
            spec = bench.spec(bench.commands.prints("whole\n"), job_id=f"quick-{number}")
            spawner.spawn(spec, follow=True)
            assert log_of(spawner, spec.job_id, follow=True) == b"whole\n"

    @promise("streams")
    def test_streams_are_told_apart(self, bench: Bench, spawner: Spawner) -> None:
        """What a program wrote to stdout and to stderr is told apart."""
        need(spawner, "logs.split")
        command = bench.commands.prints("to out\n", "to err\n")
        spawner.spawn(bench.spec(command, job_id="split"), follow=True)
        found: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        with spawner.logs("split", follow=True) as stream:
            for chunk in read(stream):
                found[chunk.stream] += chunk.data
        assert found == {"stdout": b"to out\n", "stderr": b"to err\n"}

    @promise("streams")
    def test_a_log_resumes_at_every_cursor(self, bench: Bench, spawner: Spawner) -> None:
        """From the cursor of any chunk follow exactly the bytes behind it."""
        need(spawner, "logs.resume", "logs.follow")
        command = bench.commands.prints_slowly(6, 0.05)
        spawner.spawn(bench.spec(command, job_id="resume", **kept(spawner)), follow=True)
        with spawner.logs("resume", follow=True) as stream:
            chunks = list(read(stream))
        assert chunks
        if not kept(spawner):
            return
        for number, chunk in enumerate(chunks):
            rest = b"".join(later.data for later in chunks[number + 1 :])
            assert log_of(spawner, "resume", cursor=chunk.cursor) == rest

    @promise("streams")
    def test_a_broken_log_is_mended(self, bench: Bench, spawner: Spawner) -> None:
        """A log whose connection breaks goes on behind the last chunk, nothing lost or doubled."""
        need(spawner, "logs.follow", "logs.resume")
        port = need_faults(bench, "logs")
        at = bench.fault_points["logs"]
        for size in (3, 17):
            cut = Fault.CUT_MID_STREAM
            port.arm(Rule(cut, method=at.method, path=at.path, times=1, after_bytes=size))
        command = bench.commands.prints_slowly(8, 0.05)
        spawner.spawn(bench.spec(command, job_id="mend", **kept(spawner)), follow=True)
        text = log_of(spawner, "mend", follow=True).decode()
        assert text.splitlines() == [f"line {n}" for n in range(1, 9)]

    @promise("streams")
    def test_a_flood_is_whole(self, bench: Bench, spawner: Spawner) -> None:
        """Three megabytes arrive whole, in chunks of bounded size, at a reader's own pace."""
        need(spawner, "logs.follow")
        spawner.spawn(bench.spec(bench.commands.floods(_FLOOD), job_id="flood"), follow=True)
        sizes = []
        with spawner.logs("flood", follow=True) as stream:
            for chunk in read(stream):
                sizes.append(len(chunk.data))
                assert chunk.lost == 0
        assert sum(sizes) == _FLOOD
        assert max(sizes) <= 2**20
        assert spawner.wait("flood", timeout=PATIENCE).state is JobState.SUCCEEDED

    @promise("streams")
    def test_what_is_missing_of_a_log_is_told(self, bench: Bench, spawner: Spawner) -> None:
        """Who reads a log of which the engine kept the end only learns that a part is missing."""
        need(spawner, "logs.gaps", "logs.after_exit", "field.retention_seconds")
        if not bench.short_log:
            pytest.skip("this bench has no settings with which logs are kept short")
        variables: dict[str, Any] = dict(bench.short_log)
        with bench.open(**variables) as short:
            for job_id, size in (("whole", 6), ("cut", _FLOOD)):
                command = bench.commands.floods(size)
                finished(short, bench.spec(command, job_id=job_id, retention_seconds=900))
            with short.logs("whole") as stream:
                assert not any(chunk.gap for chunk in read(stream))
            with short.logs("cut") as stream:
                chunks = list(read(stream))
        size = sum(len(chunk.data) for chunk in chunks)
        assert 0 < size < _FLOOD, "the settings of this bench do not keep logs short"
        assert any(chunk.gap for chunk in chunks), "nobody is told that a part is missing"
        assert size + sum(chunk.lost for chunk in chunks) <= _FLOOD

    @promise("streams")
    def test_a_log_after_the_end(self, bench: Bench, spawner: Spawner) -> None:
        """The log of an ended job is there for its retention, as a whole or its last bytes."""
        need(spawner, "logs.after_exit", "field.retention_seconds")
        command = bench.commands.prints("0123456789")
        finished(spawner, bench.spec(command, job_id="after", retention_seconds=900))
        assert log_of(spawner, "after") == b"0123456789"
        assert log_of(spawner, "after", tail_bytes=4) == b"6789"

    @promise("streams")
    def test_no_follow_ends_while_it_runs(self, bench: Bench, spawner: Spawner) -> None:
        """Without follow a stream ends at what is there, though the job runs."""
        need(spawner, "logs")
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="snap"))
        until_ready(spawner, "snap")
        assert log_of(spawner, "snap") == b"ready\n"
        assert spawner.stop("snap", grace_seconds=0).state is JobState.CANCELLED

    @promise("streams")
    def test_closing_a_log_wakes_its_reader(self, bench: Bench, spawner: Spawner) -> None:
        """close() from another thread ends a reader that is blocked, within seconds."""
        need(spawner, "logs.follow")
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="close"))
        until_ready(spawner, "close")
        stream = spawner.logs("close", follow=True)
        _closes_while_blocked(stream)
        assert spawner.stop("close", grace_seconds=0).state is JobState.CANCELLED

    # -- watch: the contract below the facade ------------------------------------------------

    @promise("streams")
    def test_watch_lists_then_syncs(self, bench: Bench, spawner: Spawner) -> None:
        """A new watch tells of each job that is there, then that it is synced."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="there"))
        until_ready(spawner, "there")
        with _watch(spawner) as stream:
            events = _until_synced(read(stream))
        spawner.stop("there", grace_seconds=0)
        assert [_seen_id(event) for event in events] == ["there"]

    @promise("streams")
    def test_watch_tells_the_end_before_it_is_gone(self, bench: Bench, spawner: Spawner) -> None:
        """A job's terminal status comes before the news that its object is gone."""
        with _watch(spawner) as stream:
            events = read(stream)
            _until_synced(events)
            spawner.spawn(bench.spec(bench.commands.exits(9), job_id="order"))
            ended = False
            for event in events:
                if isinstance(event, JobSeen) and event.status.outcome is not None:
                    assert event.status.outcome.exit_code == 9
                    ended = True
                if isinstance(event, JobGone):
                    assert ended, "gone before anybody was told how it ended"
                    break

    @promise("streams")
    def test_watch_resumes(self, bench: Bench, spawner: Spawner) -> None:
        """From a cursor follows what happened since, also while nobody watched."""
        need(spawner, "watch.resume")
        with _watch(spawner) as stream:
            cursor = _last_cursor(_until_synced(read(stream), synced=True))
        spawner.spawn(bench.spec(bench.commands.exits(0), job_id="since", **kept(spawner)))
        spawner.wait("since", timeout=PATIENCE)
        with _watch(spawner, cursor) as stream:
            events = _until_synced(read(stream))
        states = [event.status.state for event in events if isinstance(event, JobSeen)]
        assert JobState.SUCCEEDED in states
        assert {_seen_id(event) for event in events} == {"since"}

    @promise("streams")
    def test_watch_takes_any_cursor(self, spawner: Spawner) -> None:
        """A cursor that no longer holds begins from the start, or says that the stream is lost."""
        try:
            with _watch(spawner, "no-such-cursor-0") as stream:
                assert _until_synced(read(stream)) == []
        except StreamLost:
            return

    @promise("streams")
    def test_closing_a_watch_wakes_its_reader(self, spawner: Spawner) -> None:
        """close() from another thread ends a blocked watch, within seconds."""
        with _watch(spawner) as stream:
            _closes_while_blocked(stream, after=Synced)

    @promise("streams")
    def test_closing_the_spawner_wakes_everybody(self, bench: Bench) -> None:
        """Closing the spawner ends its watch() and its waiters, within seconds."""
        spawner = bench.open()
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="left"))
        until_ready(spawner, "left")
        errors: list[BaseException] = []
        stream = spawner.watch()
        reader = threading.Thread(target=lambda: list(stream), daemon=True)
        waiter = threading.Thread(target=_catching, args=(spawner, errors), daemon=True)
        for thread in (reader, waiter):
            thread.start()
        timer = Timer()
        spawner.close()
        stream.close()
        for thread in (reader, waiter):
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert timer.seconds < PATIENCE
        assert errors
        with bench.open() as again:
            again.remove("left", force=True)

    @promise("streams")
    def test_a_second_process_is_told_the_end(self, bench: Bench, spawner: Spawner) -> None:
        """A process that only watches learns how a job of another process ended."""
        need_shared(bench)
        spec = bench.spec(bench.commands.exits(6), job_id="afar", **kept(spawner))
        with spawner.watch() as stream:
            caller.call(bench, caller.plain(spec), "spawn", "wait")
            for status in read(stream):
                if status.job_id == "afar" and status.outcome is not None:
                    assert status.outcome.exit_code == 6
                    break


@contextmanager
def _watch(spawner: Spawner, cursor: str | None = None) -> Iterator[JobStream[WatchEvent]]:
    """Open the spawner's own stream, below the facade."""
    engine: Any = spawner._engine
    with engine.watch(WatchRequest(cursor=cursor)) as stream:
        yield stream


def _until_synced(stream: Iterator[WatchEvent], *, synced: bool = False) -> list[WatchEvent]:
    events: list[WatchEvent] = []
    for event in stream:
        if isinstance(event, Synced):
            return [*events, event] if synced else events
        events.append(event)
    pytest.fail("the stream ended before it was synced")


def _last_cursor(events: list[WatchEvent]) -> str:
    cursors = [event.cursor for event in events if event.cursor is not None]
    assert cursors, "no event carries a cursor"
    return cursors[-1]


def _seen_id(event: WatchEvent) -> str:
    if isinstance(event, JobSeen):
        return event.status.job_id
    return event.job_id if isinstance(event, JobGone) else ""


def _closes_while_blocked(
    stream: JobStream[LogChunk] | JobStream[WatchEvent], *, after: type[object] = LogChunk
) -> None:
    """Close a stream whose reader has nothing to read behind an item of this kind."""
    over = threading.Event()
    asked = threading.Event()

    def read() -> None:
        for item in stream:
            if isinstance(item, after):
                asked.set()
        over.set()

    threading.Thread(target=read, daemon=True).start()
    assert asked.wait(PATIENCE), f"the stream never told a {after.__name__}"
    assert not over.wait(0.3), "the stream ended by itself"
    timer = Timer()
    stream.close()
    assert over.wait(WAKE), f"the reader still waits {WAKE:g} s after close()"
    assert timer.seconds < WAKE
    stream.close()


def _catching(spawner: Spawner, errors: list[BaseException]) -> None:
    try:
        spawner.wait("left")
    except BaseException as error:  # noqa: BLE001 - looked at by the test
        errors.append(error)
