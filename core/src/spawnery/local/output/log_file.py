"""How a job's log lies on disk, and its writer; standard library only, the supervisor uses it.

The log is one long row of records, cut into files. A record is a header (stream, time, length)
and the data. The name of a file tells where in the row it begins, in bytes of records and in
bytes of data: ``log.<record bytes>.<data bytes>``. When the whole grows too long, the oldest file
goes. Where data could not be written the second number jumps, so a reader knows how much is lost.
"""

from __future__ import annotations

import os
import struct

from spawnery.local.system.files import write_all

HEADER = struct.Struct("<BQI")
"""Stream, nanoseconds since the epoch, length of the data."""
STREAMS = {1: "stdout", 2: "stderr"}
CHUNK = 64 * 1024
"""Most data in one record."""
_PREFIX = "log."
_LARGEST_FILE = 4 * 1024 * 1024


def file_name(offset: int, data_offset: int) -> str:
    """Return the name of the file that begins there."""
    return f"{_PREFIX}{offset:020d}.{data_offset:020d}"


def files_of(folder: str) -> list[tuple[int, int, str]]:
    """List the files of a log, oldest first: offset, data offset, path."""
    found = []
    for name in os.listdir(folder):
        parts = name.split(".")
        if name.startswith(_PREFIX) and len(parts) == 3:  # noqa: PLR2004 - see above
            found.append((int(parts[1]), int(parts[2]), os.path.join(folder, name)))
    return sorted(found)


class LogWriter:
    """Appends records and keeps the whole below a limit.

    Args:
        folder: Where the files are.
        limit: Most bytes of all files together.
    """

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._largest = min(_LARGEST_FILE, max(limit // 16, CHUNK + HEADER.size))
        self._offset = 0
        self._data_offset = 0
        self._size = 0
        self._fd = -1
        self._files: list[tuple[str, int]] = []

    @property
    def written(self) -> int:
        """Bytes of data that were to be appended so far, kept or not."""
        return self._data_offset

    def write(self, stream: int, time_ns: int, data: bytes) -> None:
        """Append a record of at most ``CHUNK`` bytes; what a full disk refuses is left out."""
        record = HEADER.pack(stream, time_ns, len(data)) + data
        try:
            if self._fd < 0 or self._size + len(record) > self._largest:
                self._roll()
            write_all(self._fd, record)
        except OSError:
            self._lose(len(data))
            return
        self._size += len(record)
        self._offset += len(record)
        self._data_offset += len(data)

    def _lose(self, size: int) -> None:
        """Cut what was written of a record, and go on in another file."""
        self._data_offset += size
        if self._fd >= 0:
            os.ftruncate(self._fd, self._size)
        self.close()

    def _roll(self) -> None:
        self.close()
        path = os.path.join(self._folder, file_name(self._offset, self._data_offset))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND
        self._fd = os.open(path, flags, 0o600)
        self._path, self._size = path, 0
        whole = self._largest + sum(size for _, size in self._files)
        while self._files and whole > self._limit:
            oldest, size = self._files.pop(0)
            os.unlink(oldest)
            whole -= size

    def close(self) -> None:
        """Close the current file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._files.append((self._path, self._size))

    def shrink(self) -> None:
        """Remove the oldest file, to make room on a full disk."""
        if self._files:
            os.unlink(self._files.pop(0)[0])
