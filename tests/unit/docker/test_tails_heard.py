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
from spawnery.local.masking import Tail
from spawnery_docker.output.attached import Ear
from spawnery_docker.output.cursors import Counts, parse
from spawnery_docker.output.demux import STDERR, STDOUT
from spawnery_docker.output.follow_buffer import Spool, SpoolStream

PATIENCE = 30.0


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def stream_of(spool: Spool, at_end=lambda _cursor: None, **given) -> SpoolStream:
    args = {"start": Counts(), "tail_bytes": 0, "since": None, "follow": True} | given
    return SpoolStream(spool, at_end=at_end, **args)


@pytest.fixture
def spools(tmp_path):
    """Make spools that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(*parts: str) -> Spool:
            spool = Spool(tmp_path.joinpath(*parts))
            stack.callback(spool.close)
            return spool

        yield make


said = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=9)))


@settings(deadline=None)
@given(said, st.data())
def test_a_spool_goes_on_at_every_cursor(tmp_path_factory, said, data):
    """From the cursor of any piece exactly the rest follows; the last bytes are the last bytes."""
    with contextlib.closing(Spool(tmp_path_factory.getbasetemp() / "spools")) as spool:
        for stream, text in said:
            spool.write(stream, text)
        spool.end()
        chunks = list(stream_of(spool))
        assert [chunk.data for chunk in chunks] == [text for _, text in said]
        if chunks:
            number = data.draw(st.integers(0, len(chunks) - 1))
            start = parse(chunks[number].cursor)
            assert list(stream_of(spool, start=start)) == chunks[number + 1 :]
        size = data.draw(st.integers(1, 100))
        whole = b"".join(text for _, text in said)
        assert b"".join(c.data for c in stream_of(spool, tail_bytes=size)) == whole[-size:]


def test_a_reader_waits_and_is_woken(spools):
    """A reader gets what comes later, and ends when nothing more comes or it is closed."""
    spool, got = spools(), []
    stream, other = stream_of(spool), stream_of(spool)
    threads = [
        threading.Thread(target=lambda: got.extend(c.data for c in stream), daemon=True),
        threading.Thread(target=lambda: list(other), daemon=True),
    ]
    for thread in threads:
        thread.start()
    spool.write(STDOUT, b"late")
    other.close()
    threads[1].join(PATIENCE)
    spool.end()
    threads[0].join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert got == [b"late"]


def test_a_big_log_is_on_disk_and_has_no_name(spools, tmp_path):
    """What does not fit into memory goes to a file that nobody can find and nothing leaves."""
    spool = spools("docker")
    for _ in range(64):
        spool.write(STDOUT, b"x" * 65536)
    assert spool._file is not None
    assert spool._file._rolled
    assert list((tmp_path / "docker").iterdir()) == []
    assert (tmp_path / "docker").stat().st_mode & 0o077 == 0
    spool.end()
    assert sum(len(chunk.data) for chunk in stream_of(spool)) == 64 * 65536


def test_a_full_disk_ends_the_log_with_the_reason(spools):
    """Where the log cannot be kept its reader is told, with the place where to go on."""
    spool = spools()
    spool.write(STDOUT, b"x" * 300_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        for _ in range(4):
            spool.write(STDOUT, b"y" * 300_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    stream = stream_of(spool)
    kept = len(next(stream).data)
    sizes: list[int] = []
    with pytest.raises(StreamLost, match="cannot be kept") as caught:
        sizes.extend(len(chunk.data) for chunk in stream)
    kept += sum(sizes)
    assert parse(caught.value.cursor) == Counts(kept)


def test_the_end_of_the_connection_is_looked_into(spools):
    """Whether the end of what was heard is the end of the log is asked, with the place."""
    spool, asked = spools(), []
    spool.write(STDERR, b"abc")
    spool.end()
    list(stream_of(spool, at_end=asked.append))
    assert [parse(cursor) for cursor in asked] == [Counts(0, 3)]
    list(stream_of(spool, at_end=asked.append, follow=False))
    assert [parse(cursor) for cursor in asked] == [Counts(0, 3)]


def test_an_exit_proves_the_end_only_where_they_come_together(spools):
    """A connection that broke long before the exit did not hear all; one that ended with it did."""
    early, late = spools(), spools()
    early.end()
    early._over_at -= 60
    for spool in (early, late):
        spool.saw_exit()
    assert (early.exit_seen, late.exit_seen) == (False, True)


def test_an_ear_keeps_the_end_masked():
    """The tail is bounded and masked, though a secret is cut by frames and pieces."""
    ear = Ear("job", Tail(20, [b"hunter2-secret"]), None)
    wire = frame(1, b"x" * 50 + b"token=hunter2") + frame(1, b"-secret!")
    for at in range(0, len(wire), 7):
        ear.hear(wire[at : at + 7])
    ear.end()
    text, missing = ear.text()
    assert text is not None
    assert text == "oken=***!"
    assert missing == ""


def test_an_ear_that_hears_no_frames_says_so(spools):
    """What is no stream of frames is the reason for a missing tail, not a tail."""
    ear = Ear("job", Tail(20, []), spools())
    ear.hear(b"HTTP/1.1 200 OK")
    text, missing = ear.text()
    assert text is None
    assert "48 54 54 50" in missing
