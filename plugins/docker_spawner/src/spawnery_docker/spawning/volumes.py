"""Gives an empty volume to the user of the job that mounts it.

The engine makes a volume for root (or for who owns that folder in the image), and a job is seldom
either of them. The folder of an empty volume is handed over between create and start, over the
archive requests of the engine's API: no program of the image runs. What has content is left alone.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
import threading
from typing import TYPE_CHECKING, Final

from attrs import frozen
from spawnery.contract import SpawnRequest
from spawnery.errors import SpawnerError

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.options import DockerOptions
from spawnery_docker.reach.http_stream import ByteStream

if TYPE_CHECKING:
    from spawnery.contract import SpawnerRuntime

_USER: Final = re.compile(r"(?P<uid>\d+)(?::(?P<gid>\d+))?\Z")
_BLOCK: Final = 512
_ALL: Final = 0o777


@frozen
class Owner:
    """A user by number; ``gid`` is None where only the image knows the group."""

    uid: int
    gid: int | None

    @classmethod
    def of(cls, user: str) -> Owner | None:
        """Read ``uid`` or ``uid:gid``; None for root and for names, which the image resolves."""
        match = _USER.match(user)
        if match is None or int(match["uid"]) == 0:
            return None
        return cls(int(match["uid"]), int(match["gid"]) if match["gid"] else None)

    def may_write(self, folder: tarfile.TarInfo) -> bool:
        """Tell whether this user may write in a folder."""
        if folder.uid == self.uid:
            return bool(folder.mode & 0o200)
        if folder.gid == self.gid:
            return bool(folder.mode & 0o020)
        return bool(folder.mode & 0o002)


class Volumes:
    """Makes volumes writable.

    Args:
        client: The engine.
        runtime: The host, for the log.
    """

    def __init__(self, client: DockerClient, runtime: SpawnerRuntime) -> None:
        self._client = client
        self._runtime = runtime

    def hand_over(self, engine_id: str, request: SpawnRequest, user: str) -> None:
        """Give the empty volumes of a created container to its user; Podman does it by itself.

        Where the engine does not let us (a socket proxy), the job runs all the same and the reason
        is logged.

        Args:
            engine_id: The container, not started.
            request: The job.
            user: Of the container, as the engine was told; empty for the image's.
        """
        options, owner = request.options, Owner.of(user)
        if self._client.podman is not None or owner is None:
            return
        if not isinstance(options, DockerOptions):
            return
        for target, volume in options.volumes.items():
            name, _, mode = volume.partition(":")
            if mode == "ro":
                continue
            try:
                self._hand_over(engine_id, request, target, owner)
            except (ApiError, SpawnerError, OSError) as error:
                self._runtime.logger.warning(
                    "the volume %s at %s could not be given to user %s: %s; if the job cannot"
                    " write there: docker run --rm -u 0 -v %s:/volume %s chown %s /volume",
                    *(name, target, user, error, name, request.job.image, user),
                )

    def _hand_over(self, engine_id: str, request: SpawnRequest, target: str, owner: Owner) -> None:
        folder = self._empty(engine_id, request, target)
        if folder is None or owner.may_write(folder):
            return
        parent, name = posixpath.split(target.rstrip("/"))
        folder.name, folder.uid = f"{name}/", owner.uid
        folder.gid = folder.gid if owner.gid is None else owner.gid
        folder.mode = (folder.mode | 0o700) & _ALL
        read_only = isinstance(request.options, DockerOptions) and request.options.read_only
        if read_only:
            # Only what is inside of a volume can be written (Docker 20.10; 28 does nothing then).
            parent, folder.name = target, "/"
        with self._client.within(request.deadline.remaining()) as engine:
            engine.put_archive(engine_id, parent, _tar(folder))
        if read_only:
            now = self._empty(engine_id, request, target)
            if now is not None and not owner.may_write(now):
                msg = "this engine does not change it beside a root file system that is read-only"
                raise OSError(msg)

    def _empty(self, engine_id: str, request: SpawnRequest, target: str) -> tarfile.TarInfo | None:
        """Return the folder of a volume, None where it has content or is none."""
        limit = request.deadline.remaining()
        stream = self._client.stream(
            "GET",
            f"/containers/{engine_id}/archive",
            query={"path": target},
            timeout=limit,
            cancellation=request.cancellation,
        )
        timer = threading.Timer(limit, stream.close)
        timer.daemon = True
        timer.start()
        try:
            with tarfile.open(fileobj=_Reader(stream), mode="r|", bufsize=_BLOCK) as archive:
                folder, content = archive.next(), archive.next()
        except tarfile.TarError as error:
            msg = f"what is in it could not be read ({error})"
            raise OSError(msg) from None
        finally:
            timer.cancel()
            stream.close()
        return folder if folder is not None and folder.isdir() and content is None else None


class _Reader(io.RawIOBase):
    """A stream as the file that ``tarfile`` reads: as many bytes as are asked for."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__()
        self._stream = stream
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size:
            data = self._stream.read1()
            if not data:
                break
            self._rest += data
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def _tar(folder: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(folder)
    return buffer.getvalue()
