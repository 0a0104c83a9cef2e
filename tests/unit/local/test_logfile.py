"""The log on disk: what is written is read, from any place."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from spawnery.local.output import log_file as logfile
from spawnery.local.output.log_reader import LogReader, place_before_end

RECORDS = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40)))


class SmallWriter(logfile.LogWriter):
    """Files of a few records."""

    def __init__(self, folder, limit, largest):
        super().__init__(str(folder), limit)
        self._largest = largest


def written(folder, records, *, limit=10**9, largest=100):
    writer = SmallWriter(folder, limit, largest)
    for number, (stream, data) in enumerate(records):
        writer.write(stream, number, data)
    writer.close()


def read(folder, offset=0, data_offset=0):
    with LogReader(Path(folder), offset=offset, data_offset=data_offset) as reader:
        return list(reader.pieces())


@given(records=RECORDS, largest=st.integers(1, 200))
def test_every_place_goes_on_with_the_rest(records, largest):
    """Whatever the size of the files."""
    with tempfile.TemporaryDirectory() as folder:
        written(folder, records, largest=largest)
        pieces = read(folder)
        assert [(piece.stream, piece.data) for piece in pieces] == records
        assert all(piece.lost == 0 for piece in pieces)
        for index, piece in enumerate(pieces):
            assert read(folder, piece.offset, piece.data_offset) == pieces[index + 1 :]


@given(records=RECORDS, limit=st.integers(100, 600))
def test_the_limit_holds_and_the_loss_is_counted(records, limit):
    """From every place that was once read, loss and data add up to what was written."""
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as folder:
        written(whole, records)
        written(folder, records, limit=limit, largest=60)
        total = sum(len(data) for _, data in records)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        assert size <= max(limit, 60 + logfile.HEADER.size + 40)
        for place in [(0, 0), *((p.offset, p.data_offset) for p in read(whole))]:
            found = read(folder, *place)
            assert sum(piece.lost + len(piece.data) for piece in found) == total - place[1]


@given(records=RECORDS, size=st.integers(1, 300))
def test_the_end_is_found_exactly(records, size):
    """So many bytes before the end, or the beginning."""
    with tempfile.TemporaryDirectory() as folder:
        written(folder, records, largest=90)
        offset, data_offset, skip = place_before_end(Path(folder), size)
        data = b"".join(piece.data for piece in read(folder, offset, data_offset))
        whole = b"".join(data for _, data in records)
        assert data[skip:] == whole[-size:]


@given(records=RECORDS, size=st.integers(1, 300), limit=st.integers(60, 400))
def test_what_is_missing_of_the_end_is_counted(records, size, limit):
    """Where less of the end is kept than is asked for, the reader learns how much less."""
    with tempfile.TemporaryDirectory() as folder:
        written(folder, records, limit=limit, largest=60)
        offset, data_offset, skip = place_before_end(Path(folder), size)
        found = read(folder, offset, data_offset)
        total = sum(len(data) for _, data in records)
        told = sum(piece.lost + len(piece.data) for piece in found) - skip
        assert told == min(size, total)


def test_a_reader_goes_on_while_it_is_written(tmp_path):
    """Half a record is left for the next time."""
    writer = SmallWriter(tmp_path, 10**9, 40)
    with LogReader(tmp_path) as reader:
        assert list(reader.pieces()) == []
        for number in range(10):
            writer.write(1, 0, b"%02d" % number)
            assert [piece.data for piece in reader.pieces()] == [b"%02d" % number]
            *_, path = logfile.files_of(str(tmp_path))[-1]
            with open(path, "ab") as file:
                file.write(b"\x01\x00")
            assert list(reader.pieces()) == []
            with open(path, "ab") as file:
                file.truncate(file.tell() - 2)


def test_what_a_full_disk_refuses_is_counted_and_told(tmp_path, monkeypatch):
    """The record is cut, and the reader learns how much is missing."""
    writer = SmallWriter(tmp_path, 10**9, 1000)
    writer.write(1, 0, b"one")
    original = logfile.write_all

    def full(fd, data):
        original(fd, data[:7])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logfile, "write_all", full)
    writer.write(1, 0, b"lost1")
    writer.write(1, 0, b"lost2")
    monkeypatch.setattr(logfile, "write_all", original)
    writer.write(2, 0, b"two")
    writer.close()
    assert [(p.data, p.lost) for p in read(tmp_path)] == [(b"one", 0), (b"two", 10)]
    assert writer.written == 16
