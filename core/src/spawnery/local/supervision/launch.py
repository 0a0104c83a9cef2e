"""Starting the program of a job; standard library only, the supervisor uses it."""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): <linux/prctl.h>."""
_FAILED = 127
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class StartFailure:
    """Why a program could not be started: what was tried, and the error number."""

    def __init__(self, stage: str, number: int) -> None:
        self.stage = stage
        self.number = number


def become_subreaper() -> bool:
    """Get the orphans among our descendants as children, where the system can do it."""
    return _LIBC is not None and _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def launch(
    argv: list[bytes], env: dict[bytes, bytes], workdir: bytes, out: int, err: int
) -> tuple[int, StartFailure | None]:
    """Fork the program into a session of its own and wait until it runs.

    Returns:
        Its pid, and why it could not be started, if so.
    """
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _become(argv, env, workdir, streams=(out, err), report=writer, parent=parent)
    os.close(writer)
    text = b""
    while piece := os.read(reader, 256):
        text += piece
    os.close(reader)
    if not text:
        return pid, None
    os.waitpid(pid, 0)
    stage, number = text.decode().split()
    return pid, StartFailure(stage, int(number))


def _become(
    argv: list[bytes],
    env: dict[bytes, bytes],
    workdir: bytes,
    *,
    streams: tuple[int, int],
    report: int,
    parent: int,
) -> NoReturn:
    """Turn this forked process into the program; never returns."""
    stage = "setup"
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
        _default_signals()
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(_FAILED)
        stage = "workdir"
        os.chdir(workdir)
        stage = "exec"
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(report, b"%s %d" % (stage.encode(), error.errno or 0))
    finally:
        os._exit(_FAILED)


def _default_signals() -> None:
    """Undo what Python and our caller ignore: ignored signals would stay so in the program."""
    for number in range(1, signal.NSIG):
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
