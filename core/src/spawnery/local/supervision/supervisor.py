"""One process per job: starts the program, keeps its log, ends it in time, writes how it ended.

It outlives whoever spawned the job. While it lives it holds the lock of the job's folder, and its
last act is the exit record: no record and no lock means that nobody knows how the job ended.

Standard library only, and little of it (no json, re, typing, signal): see benchmarks/bench_local.
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import time

from spawnery.local.output.log_file import CHUNK, LogWriter
from spawnery.local.supervision.launch import StartFailure, become_subreaper, launch
from spawnery.local.system import clocks, files, processes
from spawnery.toolkit.log_tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn
else:
    import _signal as signal

READY = b"ready\n"
"""Answer to the caller: the job runs, or how it ended is written down."""
LENGTH_BYTES = 8
"""The order comes with its length before it: half an order starts nothing."""
_OUT, _ERR = 1, 2
_GLANCE_SECONDS = 2.0
"""How often the stop file is looked at without a signal, which may come from where it cannot."""
_END_SECONDS = 10.0
"""How long processes that do not die (in the kernel, or another user's by now) are waited for."""
_MOST_LEFT = 1024 * 1024
"""Most that is read from a pipe after the end: what a pipe holds."""


def main(folder: str, lock: int) -> NoReturn:
    """Take the order from stdin, go into the background and run the job to its end."""
    os.set_inheritable(lock, False)  # noqa: FBT003 - takes no keyword
    order = _read_order(0)
    if order is None:
        os.write(1, b"the order came incomplete")
        os._exit(1)
    if os.fork():
        os._exit(0)
    try:
        Supervisor(folder, order).run()
    finally:
        os._exit(0)


def _read_order(fd: int) -> dict[str, Any] | None:
    data = b""
    while piece := os.read(fd, 1 << 16):
        data += piece
    size = int.from_bytes(data[:LENGTH_BYTES], "big")
    if len(data) != LENGTH_BYTES + size or not size:
        return None
    order: dict[str, Any] = marshal.loads(data[LENGTH_BYTES:])  # noqa: S302 - from our own caller
    return order


def _answer(text: bytes) -> None:
    """Tell the caller, who may be gone, and let go of it."""
    try:  # noqa: SIM105 - contextlib would cost each supervisor memory
        os.write(1, text)
    except OSError:
        pass
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


class Supervisor:
    """The life of one job.

    Args:
        folder: The job's folder, whose lock we hold.
        order: What to run; see ``translate.order_of``.
    """

    def __init__(self, folder: str, order: dict[str, Any]) -> None:
        self._folder = folder
        self._order = order
        self._tail = Tail(order["tail_bytes"], order["secrets"])
        self._log = LogWriter(folder, order["log_bytes"])
        self._poll = select.poll()
        self._pipes: dict[int, int] = {}
        self._job = 0
        self._status: int | None = None
        self._reason: str | None = None
        self._stop_seen: tuple[int, int] | None = None
        self._glance_at = 0.0
        self._kill_at: float | None = None
        self._deadline: float | None = order["deadline"]
        self._clocks = clocks.Clocks()
        self._started: dict[str, str | float] = {}
        self._reaps = False

    # -- life --------------------------------------------------------------------------------

    def run(self) -> None:
        """Start the job, unless it was stopped before, and stay until its end is written."""
        try:
            self._prepare()
            self._mark_launched()
        except OSError as error:
            _answer(f"the supervisor cannot work in {self._folder}: {error.strerror}".encode())
            return
        if self._reason_not_to_start():
            self._write_exit({"exit_code": None, "signal": None, "never_started": True})
            _answer(READY)
            return
        try:
            failure = self._launch()
        except OSError as error:
            failure = StartFailure("setup", error.errno or 0)
        if failure is not None:
            self._write_exit({"start_stage": failure.stage, "start_errno": failure.number})
            _answer(READY)
            return
        _answer(READY)
        while self._status is None:
            self._step()
        left = self._end_rest()
        for fd in list(self._pipes):
            self._drain(fd)
        self._log.close()
        self._write_exit({**_exit_of(self._status), "left": left})

    def _prepare(self) -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self._wake, writer = os.pipe()
        for fd in (self._wake, writer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self._poll.register(self._wake, select.POLLIN)
        self._reaps = become_subreaper()
        facts: files.Flat = {"pid": os.getpid(), "identity": processes.identity(os.getpid())}
        files.write_whole(self._folder, files.SUPERVISOR, files.encode(facts))

    def _mark_launched(self) -> None:
        """Make the mark that forbids a second start; it fails when it is there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(os.path.join(self._folder, files.LAUNCHED), flags, 0o600))
        files.sync_folder(self._folder)

    def _reason_not_to_start(self) -> bool:
        """Look for a stop after the mark was made: whoever stops looks for the mark after it."""
        self._read_stop()
        if (
            self._reason is None
            and self._deadline is not None
            and self._deadline <= clocks.since_boot()
        ):
            self._reason = "deadline"
        return self._reason is not None

    def _launch(self) -> StartFailure | None:
        order = self._order
        workdir = order["workdir"]
        if workdir is None:
            workdir = os.fsencode(os.path.join(self._folder, files.WORK))
            os.makedirs(workdir, 0o700, exist_ok=True)
        ends = []
        for stream in (_OUT, _ERR):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self._pipes[reader] = stream
            self._poll.register(reader, select.POLLIN)
            ends.append(writer)
        self._job, failure = launch(order["argv"], order["env"], workdir, *ends)
        for fd in ends:
            os.close(fd)
        order["env"] = order["secrets"] = None
        self._started = self._clocks.now().facts("started")
        if failure is None:
            self._write_started()
        return failure

    def _write_started(self) -> None:
        facts: files.Flat = {
            "pid": self._job,
            "identity": processes.identity(self._job),
            **self._started,
        }
        try:
            files.write_whole(self._folder, files.STARTED, files.encode(facts))
        except OSError:
            return

    # -- while it runs -----------------------------------------------------------------------

    def _step(self) -> None:
        for fd, _ in self._poll.poll(self._pause() * 1000):
            if fd == self._wake:
                self._woken()
            else:
                self._read(fd)
        self._reap()
        if self._status is None:
            self._keep_time(clocks.since_boot())

    def _keep_time(self, now: float) -> None:
        """Do what is due while the program runs."""
        if now >= self._glance_at:
            self._glance_at = now + _GLANCE_SECONDS
            self._read_stop()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._begin_end("deadline", self._order["grace_seconds"])
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_all()
            self._kill_at = now + processes.PAUSE * 10

    def _pause(self) -> float:
        times = [self._glance_at]
        times += [at for at in (self._deadline, self._kill_at) if at is not None]
        return max(0.0, min(times) - clocks.since_boot()) + 0.001

    def _woken(self) -> None:
        self._glance_at = 0.0
        try:
            while os.read(self._wake, 4096):
                pass
        except BlockingIOError:
            return

    def _read(self, fd: int) -> int:
        """Take one piece of a stream into the log; 0 at its end or when there is none now."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return 0
        if not data:
            self._poll.unregister(fd)
            del self._pipes[fd]
            os.close(fd)
            return 0
        self._tail.add(self._stream_of(fd), data)
        self._log.write(self._stream_of(fd), time.time_ns(), data)
        return len(data)

    def _stream_of(self, fd: int) -> int:
        return self._pipes[fd]

    def _drain(self, fd: int) -> None:
        """Take what a stream still holds, without waiting for whoever keeps it open."""
        total = 0
        while total < _MOST_LEFT:
            size = self._read(fd)
            if not size:
                return
            total += size

    def _reap(self) -> bool:
        """Take the exit codes of children; False when there are no children any more."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self._job:
                self._status = status

    # -- ending ------------------------------------------------------------------------------

    def _read_stop(self) -> None:
        """Look for a (new) order to stop: ``reason grace``."""
        path = os.path.join(self._folder, files.STOP)
        try:
            facts = os.stat(path)
            if self._stop_seen == (facts.st_ino, facts.st_mtime_ns):
                return
            with open(path, encoding="ascii") as file:
                reason, grace = file.read().split()
        except (OSError, ValueError):
            return
        self._stop_seen = (facts.st_ino, facts.st_mtime_ns)
        self._begin_end(reason, float(grace))

    def _begin_end(self, reason: str, grace: float) -> None:
        """Ask the job to end; the first reason stays, the shortest grace wins."""
        kill_at = clocks.since_boot() + grace
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)
        if self._reason is None:
            self._reason = reason
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        """Send SIGTERM, and SIGCONT so that a program that is halted hears it."""
        if not self._job:
            return
        for number in (signal.SIGTERM, signal.SIGCONT):
            try:
                os.killpg(self._job, number)
            except OSError:
                return

    def _kill_all(self) -> None:
        found = processes.table()
        if self._reaps:
            rest = processes.descendants(found, [os.getpid()])
        else:
            rest = processes.members(found, nonce=self._order["nonce"], session=self._job)
        for process in rest:
            if not process.zombie:
                processes.send(process, signal.SIGKILL)

    def _end_rest(self) -> bool:
        """Kill what the program left behind; True when something still lives."""
        until = clocks.since_boot() + _END_SECONDS
        while self._lives():
            if clocks.since_boot() > until:
                return True
            self._kill_all()
            time.sleep(processes.PAUSE)
        return False

    def _lives(self) -> bool:
        if self._reap():
            return True
        if self._reaps:
            return False
        found = processes.table()
        return bool(processes.members(found, nonce=self._order["nonce"], session=self._job))

    def _write_exit(self, facts: files.Flat) -> None:
        facts = {
            "reason": self._reason,
            **self._started,
            **self._clocks.now().facts("finished"),
            "log_bytes": self._log.written,
            **facts,
        }
        for tail in (self._tail.text(), None, None):
            try:
                data = files.encode({**facts, "log_tail": tail})
                files.write_whole(self._folder, files.EXIT, data)
                files.sync_folder(self._folder)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                    return
                self._log.shrink()
            else:
                return


def _exit_of(status: int) -> files.Flat:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {"exit_code": 128 + number, "signal": number}
    return {"exit_code": os.WEXITSTATUS(status), "signal": None}
