"""What is heard of a job: its end, all of it for who follows, and when that is not all."""

from __future__ import annotations

import contextlib
import resource
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spawnery.errors import StreamLost
from spawnery.toolkit import Tail
from spawnery_docker.output.attached import AttachedLog
from spawnery_docker.output.cursors import Counts, parse
from spawnery_docker.output.demux import STDERR, STDOUT
from spawnery_docker.output.follow_buffer import BufferStream, FollowBuffer

PATIENCE = 30.0


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def stream_of(buffer: FollowBuffer, at_end=lambda _cursor: None, **given) -> BufferStream:
    args = {"start": Counts(), "tail_bytes": 0, "since": None, "follow": True} | given
    return BufferStream(buffer, at_end=at_end, **args)


@pytest.fixture
def buffers(tmp_path):
    """Make buffers that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(*parts: str) -> FollowBuffer:
            buffer = FollowBuffer(tmp_path.joinpath(*parts))
            stack.callback(buffer.close)
            return buffer

        yield make


said = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=9)))


@settings(deadline=None)
@given(said, st.data())
def test_a_spool_goes_on_at_every_cursor(tmp_path_factory, said, data):
    """From the cursor of any piece exactly the rest follows; the last bytes are the last bytes."""
    with contextlib.closing(FollowBuffer(tmp_path_factory.getbasetemp() / "buffers")) as buffer:
        for stream, text in said:
            buffer.write(stream, text)
        buffer.end()
        chunks = list(stream_of(buffer))
        assert [chunk.data for chunk in chunks] == [text for _, text in said]
        if chunks:
            number = data.draw(st.integers(0, len(chunks) - 1))
            start = parse(chunks[number].cursor)
            assert list(stream_of(buffer, start=start)) == chunks[number + 1 :]
        size = data.draw(st.integers(1, 100))
        whole = b"".join(text for _, text in said)
        assert b"".join(c.data for c in stream_of(buffer, tail_bytes=size)) == whole[-size:]


def test_a_reader_waits_and_is_woken(buffers):
    """A reader gets what comes later, and ends when nothing more comes or it is closed."""
    buffer, got = buffers(), []
    stream, other = stream_of(buffer), stream_of(buffer)
    threads = [
        threading.Thread(target=lambda: got.extend(c.data for c in stream), daemon=True),
        threading.Thread(target=lambda: list(other), daemon=True),
    ]
    for thread in threads:
        thread.start()
    buffer.write(STDOUT, b"late")
    other.close()
    threads[1].join(PATIENCE)
    buffer.end()
    threads[0].join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert got == [b"late"]


def test_a_big_log_is_on_disk_and_has_no_name(buffers, tmp_path):
    """What does not fit into memory goes to a file that nobody can find and nothing leaves."""
    buffer = buffers("docker")
    for _ in range(64):
        buffer.write(STDOUT, b"x" * 65536)
    assert buffer._file is not None
    assert buffer._file._rolled
    assert list((tmp_path / "docker").iterdir()) == []
    assert (tmp_path / "docker").stat().st_mode & 0o077 == 0
    buffer.end()
    assert sum(len(chunk.data) for chunk in stream_of(buffer)) == 64 * 65536


def test_a_full_disk_ends_the_log_with_the_reason(buffers):
    """Where the log cannot be kept its reader is told, with the place where to go on."""
    buffer = buffers()
    buffer.write(STDOUT, b"x" * 300_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        for _ in range(4):
            buffer.write(STDOUT, b"y" * 300_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    stream = stream_of(buffer)
    kept = len(next(stream).data)
    sizes: list[int] = []
    with pytest.raises(StreamLost, match="cannot be kept") as caught:
        sizes.extend(len(chunk.data) for chunk in stream)
    kept += sum(sizes)
    assert parse(caught.value.cursor) == Counts(kept)


def test_the_end_of_the_connection_is_looked_into(buffers):
    """Whether the end of what was heard is the end of the log is asked, with the place."""
    buffer, asked = buffers(), []
    buffer.write(STDERR, b"abc")
    buffer.end()
    list(stream_of(buffer, at_end=asked.append))
    assert [parse(cursor) for cursor in asked] == [Counts(0, 3)]
    list(stream_of(buffer, at_end=asked.append, follow=False))
    assert [parse(cursor) for cursor in asked] == [Counts(0, 3)]


def test_an_exit_proves_the_end_only_where_they_come_together(buffers):
    """A connection that broke long before the exit did not hear all; one that ended with it did."""
    early, late = buffers(), buffers()
    early.end()
    early._over_at -= 60
    for buffer in (early, late):
        buffer.saw_exit()
    assert (early.exit_seen, late.exit_seen) == (False, True)


def test_an_ear_keeps_the_end_masked():
    """The tail is bounded and masked, though a secret is cut by frames and pieces."""
    attached = AttachedLog("job", Tail(20, [b"hunter2-secret"]), None)
    wire = frame(1, b"x" * 50 + b"token=hunter2") + frame(1, b"-secret!")
    for at in range(0, len(wire), 7):
        attached.hear(wire[at : at + 7])
    attached.end()
    text, missing = attached.text()
    assert text is not None
    assert text == "oken=***!"
    assert missing == ""


def test_an_ear_that_hears_no_frames_says_so(buffers):
    """What is no stream of frames is the reason for a missing tail, not a tail."""
    attached = AttachedLog("job", Tail(20, []), buffers())
    attached.hear(b"HTTP/1.1 200 OK")
    text, missing = attached.text()
    assert text is None
    assert "48 54 54 50" in missing
