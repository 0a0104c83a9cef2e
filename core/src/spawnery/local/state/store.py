"""The folders of jobs: one per job, claimed whole by a rename, gone by a rename.

``<state_dir>/local/jobs/<name>/``; names that begin with a dot are being made or being removed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from spawnery.contract.requests import Place
from spawnery.errors import NameConflict
from spawnery.local.state.errors import corrupt, of_another_user, state_error
from spawnery.local.state.facts import Facts, is_still, read_facts, read_json
from spawnery.local.system import files, locks, processes

_PRIVATE: Final = 0o700
_DRAFT_BYTES: Final = 8
_DRAFT: Final = re.compile(rf"\..+\.[0-9a-f]{{{2 * _DRAFT_BYTES}}}")
_RESERVED_BYTES: Final = 4096
_TAIL_FACTOR: Final = 6
"""JSON writes a byte that is no ASCII letter as six."""
_HOLD_SECONDS: Final = 2.0
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER: Final = frozenset({errno.ENOTDIR, errno.ELOOP})


class Store:
    """All job folders of one state directory.

    Args:
        root: ``<state_dir>/local``; made when it is first needed.
        instance: Whose jobs we see; others are foreign.
    """

    def __init__(self, root: Path, *, instance: str) -> None:
        self.root = root
        self.jobs = root / "jobs"
        self._instance = instance
        self._machine = processes.machine()

    # -- the place ---------------------------------------------------------------------------

    def place(self) -> Place:
        """Name the place of the jobs: this machine and this folder."""
        folder = self.jobs.resolve()
        known = None if self._machine is None else f"{self._machine} {folder}"
        return Place(
            endpoint=f"local:{folder}", id=known, title=f"{folder} on {socket.gethostname()}"
        )

    def ensure(self) -> None:
        """Make the folders where they are missing.

        Raises:
            StateError: They cannot be made, or are another user's.
        """
        for folder in (self.root, self.jobs):
            try:
                folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            except OSError as error:
                raise state_error(error, "make the state directory", folder) from None
        self.verify()

    def verify(self) -> bool:
        """Tell whether the folders are there; they must be ours and closed to others.

        Raises:
            StateError: They are another user's, or cannot be read.
        """
        for folder in (self.root, self.jobs):
            try:
                facts = folder.lstat()
                if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid():
                    if stat.S_IMODE(facts.st_mode) & 0o077:
                        folder.chmod(_PRIVATE)
                    continue
            except FileNotFoundError:
                return False
            except OSError as error:
                raise state_error(error, "look at the state directory", folder) from None
            if not stat.S_ISDIR(facts.st_mode):
                raise corrupt(folder, "it is not a folder")
            raise of_another_user(folder, facts.st_uid, os.geteuid())
        return True

    def names(self) -> list[tuple[str, int]]:
        """List the folders: name, and a mark that another folder of that name would not have.

        The mark is the time of the folder's last change: an inode is soon used again.
        """
        if not self.verify():
            return []
        try:
            with os.scandir(self.jobs) as entries:
                named = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            raise state_error(error, "list the jobs", self.jobs) from None
        found = []
        for entry in named:
            with contextlib.suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns))
        return sorted(found)

    # -- one job -----------------------------------------------------------------------------

    def read(self, name: str) -> Facts | None:
        """Look at the folder of a job; None when there is none.

        Raises:
            NameConflict: The folder is not of this instance.
            StateError: A file in it is damaged or cannot be read.
        """
        folder = self.jobs / name
        if not self.verify():
            return None
        while True:
            try:
                fd = os.open(folder, _OPEN_FOLDER)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno in _NO_FOLDER:
                    raise self._foreign(folder, None) from None
                raise state_error(error, "read the job", folder) from None
            try:
                facts = read_facts(folder, fd)
                if not is_still(folder, fd):
                    continue  # it was removed under our eyes, maybe another one has its name
            except OSError as error:
                raise state_error(error, "read the job", folder) from None
            finally:
                os.close(fd)
            if facts is None or not self._ours(facts.job):
                raise self._foreign(folder, None if facts is None else facts.job)
            return facts

    def _ours(self, job: Mapping[str, Any]) -> bool:
        return job.get("instance") == self._instance and not self._elsewhere(job)

    def runs_on(self, name: str) -> bool:
        """Tell cheaply whether a job that ran still does."""
        folder = self.jobs / name
        try:
            return locks.alive(folder) and not (folder / files.EXIT).exists()
        except OSError:
            return False

    def _elsewhere(self, job: Mapping[str, Any]) -> bool:
        """Tell whether a job is of another machine that shares our folders: we cannot judge it."""
        return None not in {job.get("machine"), self._machine} and job["machine"] != self._machine

    def _foreign(self, folder: Path, job: Mapping[str, Any] | None) -> NameConflict:
        if job is not None and job.get("instance") == self._instance:
            msg = f"the folder {folder} is of a job on another machine ({job['machine']})"
            hint = "choose another job id, or give each machine a folder: SPAWNERY_STATE_DIR=..."
            return NameConflict(msg, hint=hint)
        owner = "it has no job.json" if job is None else f"it is of {job.get('instance')!r}"
        msg = f"the folder {folder} is there and is not ours: {owner}, we are {self._instance!r}"
        return NameConflict(msg, hint="choose another job id, or look at it and remove it")

    def claim(self, name: str, job: Mapping[str, Any]) -> locks.Held | None:
        """Make the folder of a job, with its lock held; None when somebody else has made it.

        Raises:
            StateError: It cannot be written; nothing of it stays.
        """
        try:
            return self._claim(name, job)
        except OSError as error:
            if (self.jobs / name).exists():
                return None
            doing = f"keep the job {job['job_id']}"
            raise state_error(error, doing, self.jobs, job_id=job["job_id"]) from None

    def _claim(self, name: str, job: Mapping[str, Any]) -> locks.Held:
        held = self._begin(name)
        draft = held.folder
        try:
            tail = _TAIL_FACTOR * int(job["tail_bytes"])
            files.reserve(str(draft), files.EXIT, _RESERVED_BYTES + tail)
            for file in (files.STARTED, files.SUPERVISOR, files.STOP):
                files.reserve(str(draft), file, _RESERVED_BYTES)
            text = json.dumps(job, indent=1)
            files.write_whole(str(draft), files.JOB, text.encode())
            files.sync_folder(str(draft))
            draft.rename(self.jobs / name)
            held.folder = self.jobs / name
            files.sync_folder(str(self.jobs))
        except BaseException:
            _delete(draft)
            held.close()
            raise
        return held

    def _begin(self, name: str) -> locks.Held:
        """Make a draft and lock it; another one where a sweep took the first for a leftover."""
        while True:
            draft = self._draft(name)
            draft.mkdir(mode=_PRIVATE)
            try:
                held = locks.create(draft)
            except OSError:
                _delete(draft)
                raise
            if held is not None:
                return held

    def hold(self, name: str, *, seconds: float = 0.0) -> locks.Held | None:
        """Take the lock of a job for which nobody acts; see ``locks.hold``."""
        with _said("lock the job", self.jobs / name):
            return locks.hold(self.jobs / name, seconds=seconds)

    def engine_id(self, held: locks.Held) -> str | None:
        """Return the id of the folder whose lock we hold."""
        with _said("read the job", held.folder):
            fd = os.open(held.folder, _OPEN_FOLDER)
            try:
                job = read_json(held.folder, files.JOB, fd)
            finally:
                os.close(fd)
        return None if job is None else job.get("nonce")

    def write(self, name: str, file: str, data: bytes) -> None:
        """Write a file of a job whole.

        Raises:
            StateError: It cannot be written.
        """
        with _said("write", self.jobs / name):
            files.write_whole(str(self.jobs / name), file, data)

    def write_stop(self, facts: Facts, reason: str, grace: float) -> None:
        """Write the order to stop; several callers may do so at once.

        It reaches the folder that ``facts`` were read from, not one that has its name by now.

        Raises:
            StateError: It cannot be written.
        """
        data = f"{reason} {grace:.3f}\n".encode()
        with _said("write", facts.folder):
            try:
                folder = os.open(facts.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            try:
                job = read_json(facts.folder, files.JOB, folder)
                if job is not None and job.get("nonce") == facts.engine_id:
                    _write_stop(folder, data)
            finally:
                os.close(folder)

    def discard(self, held: locks.Held) -> None:
        """Remove the folder whose lock we hold, and let go of it."""
        gone = self._draft(held.folder.name)
        with held, _said("remove the job", held.folder):
            held.folder.rename(gone)
            _delete(gone)
            if gone.exists():
                raise PermissionError(13, "some of its files cannot be removed")

    def sweep(self) -> None:
        """Remove what processes that died left half made or half removed."""
        if not self.jobs.exists():
            return
        with _said("look for leftovers", self.jobs), os.scandir(self.jobs) as entries:
            drafts = [Path(entry.path) for entry in entries if _DRAFT.fullmatch(entry.name)]
        for draft in drafts:
            with contextlib.suppress(OSError):
                _sweep(draft)

    def _draft(self, name: str) -> Path:
        """Return a name for what is being made or removed."""
        return self.jobs / f".{name}.{secrets.token_hex(_DRAFT_BYTES)}"


def _sweep(draft: Path) -> None:
    """Remove a draft that nobody acts for: its lock is free, or it never came to have one."""
    held = locks.hold(draft)
    if held is not None:
        with held:
            _delete(draft)
    elif not (draft / files.LOCK).exists():
        draft.rmdir()


@contextlib.contextmanager
def _said(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise state_error(error, doing, path) from None


def _write_stop(fd: int, data: bytes) -> None:
    draft = f".{files.STOP}.{secrets.token_hex(8)}"
    try:
        files.write_whole("", files.STOP, data, draft=draft, dir_fd=fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=fd)
        files.write_whole("", files.STOP, data, dir_fd=fd)  # the draft with reserved room


def _delete(folder: Path) -> None:
    """Delete a folder with all that a job may have left in it, as far as we may."""

    def again(function: Callable[[str], object], path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(_PRIVATE)
            Path(path).chmod(_PRIVATE, follow_symlinks=not Path(path).is_symlink())
            function(path)

    with contextlib.suppress(OSError):
        for path in folder.iterdir():  # the lock last: while it is held, nobody else does this
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, onerror=again)
            elif path.name != files.LOCK:
                path.unlink()
    shutil.rmtree(folder, onerror=again)
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
