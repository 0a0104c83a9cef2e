"""Reads a job's log, also while it is written, from any place in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from attrs import frozen

from spawnery.local.output.log_file import HEADER, files_of


@frozen(kw_only=True)
class Piece:
    """One record, as it was read.

    Attributes:
        stream: 1 stdout, 2 stderr.
        time_ns: When it was written.
        data: What was written.
        offset, data_offset: The place right behind it.
        lost: Bytes of data that are missing right before it.
    """

    stream: int
    time_ns: int
    data: bytes
    offset: int
    data_offset: int
    lost: int = 0


class LogReader:
    """Goes through the records of a log.

    Args:
        folder: The job's folder.
        offset, data_offset: Where to begin: 0 and 0, or the place behind a piece.
    """

    def __init__(self, folder: Path, *, offset: int = 0, data_offset: int = 0) -> None:
        self._folder = str(folder)
        self._offset = offset
        self._data_offset = data_offset
        self._file: BinaryIO | None = None
        self._base = (-1, -1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def place(self) -> tuple[int, int]:
        """Offset and data offset of the place where the last call stopped."""
        return self._offset, self._data_offset

    def pieces(self) -> Iterator[Piece]:
        """Yield what is there beyond the place where the last call stopped.

        Raises:
            FileNotFoundError: The job's folder is gone.
        """
        while True:
            listed = files_of(self._folder)  # before reading: a file with a successor is complete
            if self._file is None and not self._open(self._containing(listed)):
                return
            yield from self._rest()
            later = [item for item in listed if item[:2] > self._base]
            if not later or not self._open(later[0]):
                return

    def first_file(self) -> Iterator[Piece]:
        """Yield what is there in the file that holds our place."""
        if self._open(self._containing(files_of(self._folder))):
            yield from self._rest()

    def _containing(self, listed: list[tuple[int, int, str]]) -> tuple[int, int, str] | None:
        """Return the file that holds our place, or the first one after it."""
        place = (self._offset, self._data_offset)
        before = [item for item in listed if item[:2] <= place]
        if before:
            return before[-1]
        return listed[0] if listed else None

    def _open(self, item: tuple[int, int, str] | None) -> bool:
        if item is None:
            return False
        offset, _, path = item
        try:
            file = open(path, "rb", buffering=1 << 16)  # noqa: SIM115, PTH123 - closed in __exit__
        except FileNotFoundError:
            os.stat(self._folder)  # noqa: PTH116 - tells a dropped file from a removed job
            return self._open(self._containing(files_of(self._folder)))
        if self._file is not None:
            self._file.close()
        self._file, self._base = file, item[:2]
        file.seek(max(0, self._offset - offset))
        return True

    def _rest(self) -> Iterator[Piece]:
        """Yield the whole records from here to the end of the file."""
        while self._file is not None:
            start = self._file.tell()
            header = self._file.read(HEADER.size)
            if len(header) < HEADER.size:
                self._file.seek(start)
                return
            stream, time_ns, size = HEADER.unpack(header)
            data = self._file.read(size)
            if len(data) < size:
                self._file.seek(start)
                return
            yield self._piece(start, stream, time_ns, data)

    def _piece(self, start: int, stream: int, time_ns: int, data: bytes) -> Piece:
        base_offset, base_data = self._base
        lost = 0
        if start == 0:
            lost = max(0, base_data - self._data_offset)
            self._data_offset = base_data
        self._offset = base_offset + start + HEADER.size + len(data)
        self._data_offset += len(data)
        return Piece(
            stream=stream,
            time_ns=time_ns,
            data=data,
            offset=self._offset,
            data_offset=self._data_offset,
            lost=lost,
        )


def place_before_end(folder: Path, size: int) -> tuple[int, int, int]:
    """Return where to begin so that ``size`` bytes of data follow.

    Returns:
        Offset and data offset of a record, and how many bytes of its data are to be left out.
        Where less is kept the data offset is that of the wanted beginning, so what is missing of
        it counts as lost.
    """
    listed = files_of(str(folder))
    places: list[tuple[int, int]] = []
    end = 0
    for offset, data_offset, _ in reversed(listed):
        with LogReader(folder, offset=offset, data_offset=data_offset) as reader:
            new = [(offset, data_offset)]
            new += [(piece.offset, piece.data_offset) for piece in reader.first_file()]
        end = max(end, new[-1][1])
        places = new + places
        if end - data_offset >= size:
            break
    target = max(0, end - size)
    if places and target < places[0][1]:
        return places[0][0], target, 0
    fitting = [place for place in places if place[1] <= target] or places[:1] or [(0, 0)]
    best = max(fitting)
    return (*best, max(0, target - best[1]))
