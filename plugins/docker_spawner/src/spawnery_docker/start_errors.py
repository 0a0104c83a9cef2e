"""Why the engine could not start a container, by its words: pure.

The words are runc's and moby's (moby, daemon/start.go, errors.go: ``translateContainerdStartErr``).
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from attrs import evolve, frozen

_QUOTE_LIMIT: Final = 600
"""Of runc's chain of errors the last one says most."""


IMAGE: Final = "IMAGE"
"""Stands in hints for the image's reference."""


@frozen
class StartFailure:
    """A cause code, words for a person, and what to do."""

    cause: str
    message: str
    hint: str | None = None

    @property
    def known(self) -> bool:
        """Whether the engine's words are ones that we know."""
        return self.hint is not None


@frozen
class _Kind:
    words: re.Pattern[str]
    cause: str
    message: str
    hint: str


def _kind(words: str, cause: str, message: str, hint: str) -> _Kind:
    return _Kind(re.compile(words, re.IGNORECASE), cause, message, hint)


_CUT_OFF: Final = re.compile(r"context (canceled|cancelled|deadline exceeded)", re.IGNORECASE)
_KINDS: Final = (
    _kind(
        r"docker-init|container-init binary|catatonit",
        "start.failed",
        "the engine cannot find its own init program; the job's program was not looked for",
        "install it beside the engine (package tini or docker-init), or run without one:"
        " options.docker.init=false",
    ),
    _kind(
        r"network .* not found|could not find network|no such network",
        "network.not_found",
        "the network to join does not exist",
        "see which there are: docker network ls; the engine's default: network=bridge",
    ),
    _kind(
        r"no available IPv[46] addresses|failed to find free IP",
        "start.failed",
        "the network has no free address",
        "end what runs on it, or make one with a larger subnet: docker network create --subnet",
    ),
    _kind(
        r"bad nameserver address",
        "start.failed",
        "options.docker.dns has something that is no address",
        'name servers by address: options.docker.dns=["192.0.2.1"]',
    ),
    _kind(
        r"error setting rlimit|setting rlimits for",
        "start.failed",
        "the engine may not set the limits that it has as defaults",
        "lower default-ulimits in the engine's daemon.json",
    ),
    _kind(
        r"chdir to cwd|mkdir.* not a directory|cannot chdir|working directory"
        r"|workdir .* not a directory",
        "start.workdir",
        "the working directory cannot be used",
        "it must be a folder that the job's user may enter; or leave workdir out",
    ),
    _kind(
        r"unable to find user|no matching entries in passwd|unable to find group",
        "start.failed",
        "the image does not know this user",
        "name it by number: user=1000",
    ),
    _kind(
        r"error mounting|invalid mount|failed to mount|mount destination",
        "start.failed",
        "a mount could not be made",
        "look at options.docker: volumes, tmpfs, binds",
    ),
    _kind(
        r"exec format error",
        "image.platform",
        "the program is for another processor, or a script without a first line #!/bin/sh",
        "build the image for this engine's processor: docker build --platform"
        f" \"$(docker version -f '{{{{.Server.Os}}}}/{{{{.Server.Arch}}}}')\" -t {IMAGE} .",
    ),
    _kind(
        r"executable file not found|exec: .*no such file or directory|stat .*no such file",
        "start.command_not_found",
        "the program was not found in the image",
        f"give its whole path; what is there: docker run --rm --entrypoint ls {IMAGE} /bin",
    ),
    _kind(
        r"permission denied|is a directory|operation not permitted",
        "start.not_executable",
        "the program cannot be executed",
        "chmod +x in the image; a file that only root may run needs: security=baseline",
    ),
    _kind(
        r"unknown or invalid runtime|unknown runtime",
        "start.failed",
        "the engine does not have this runtime",
        "which it has: docker info --format '{{.Runtimes}}'",
    ),
    _kind(
        r"could not select device driver",
        "start.failed",
        "the engine has no GPUs to give",
        "install the NVIDIA container toolkit there, or leave gpus out",
    ),
    _kind(
        r"argument list too long",
        "start.failed",
        "environment and arguments are longer than the kernel takes",
        "hand large values over as files",
    ),
    _kind(
        r"lstat .*file name too long",
        "start.workdir",
        "the working directory cannot be used",
        "a part of a path has at most 255 characters",
    ),
    _kind(
        _CUT_OFF.pattern,
        "start.failed",
        "the start was cut off with the connection that asked for it; the program never ran",
        "spawn it again",
    ),
    _kind(
        r"OCI runtime|shim task|container process|container init",
        "start.failed",
        "the container could not be started",
        "the engine's own log may tell more: journalctl -u docker -n 50",
    ),
)


_INIT: Final = re.compile(
    r"^(?:\[FATAL tini \(\d+\)\] exec (?P<program>.*) failed"
    r"|ERROR \(catatonit:\d+\): failed to exec pid1): (?P<reason>.*)$",
    re.MULTILINE,
)
"""What the engine's own init prints when it cannot run the program: tini (src/tini.c) on Docker,
catatonit (catatonit.c) on Podman."""
_RUNC: Final = re.compile(
    r"(?:exec (?P<program>/[^\n]*)|\w+\.go:\d+: exec user process caused):"
    r" (?P<reason>no such file or directory|exec format error|permission denied)\s*\Z"
)
"""All that is in the log of a container without an init whose program the kernel did not take
(runc, libcontainer/standard_init_linux.go)."""
_REASONS: Final = {
    "No such file or directory": "executable file not found",
    "Permission denied": "permission denied",
    "Exec format error": "exec format error",
    "File name too long": "executable file not found",
    "Not a directory": "executable file not found",
    "Argument list too long": "argument list too long",
}


def program_failure(log: str, image: str | None = None) -> StartFailure | None:
    """Tell why the program was not run, by what the init process printed; None when it was.

    Args:
        log: The end of the job's log.
        image: The reference of its image, for hints.
    """
    match = _INIT.search(log) or _RUNC.match(log)
    if match is None:
        return None
    failure = _of_init(match)
    return _with_image(failure, image)


def _of_init(match: re.Match[str]) -> StartFailure:
    reason = match["reason"].strip()
    words = _REASONS.get(reason[:1].upper() + reason[1:], reason)
    kind = next((kind for kind in _KINDS if kind.words.search(words)), None)
    program = f"the program {match['program']}" if match["program"] else "the program"
    said = f"{program} could not be run: {reason}"
    if kind is None:
        return StartFailure("start.failed", said)
    name = match["program"] or ""
    if kind.cause == "start.command_not_found" and name.startswith("/"):
        return StartFailure(kind.cause, f"{said}; {_INTERPRETER}", _first_line(name))
    if kind.cause == "start.command_not_found" and len(name.split()) > 1:
        said += "; a command is a list of words, and this is one word with spaces in it"
        return StartFailure(kind.cause, said, _WORDS)
    return StartFailure(kind.cause, said, kind.hint)


_WORDS: Final = "give each word by itself, or the whole to a shell: sh -c SCRIPT"
_INTERPRETER: Final = "it is not in the image, or what its first line names is not"


def _first_line(path: str) -> str:
    """Say how to find out which of the two is missing: the kernel has one error for both."""
    quoted = shlex.quote(path)
    return (
        "look at its first line (^M at its end: save the file with line ends LF, not CRLF):"
        f" docker run --rm --entrypoint head {IMAGE} -n 1 {quoted} | cat -A"
    )


def _with_image(failure: StartFailure, image: str | None) -> StartFailure:
    if failure.hint is None or not image:
        return failure
    return evolve(failure, hint=failure.hint.replace(IMAGE, image))


def was_cut_off(text: str) -> bool:
    """Tell whether a start ended because whoever asked for it went away.

    Args:
        text: The engine's words.
    """
    return _CUT_OFF.search(text) is not None


def start_failure(text: str, image: str | None = None) -> StartFailure:
    """Tell why a start failed.

    Args:
        text: The engine's words.
        image: The reference of its image, for hints.
    """
    said = " ".join(text.split())[:_QUOTE_LIMIT]
    for kind in _KINDS:
        if kind.words.search(text):
            message = f"{kind.message}; the engine says: {said}"
            return _with_image(StartFailure(kind.cause, message, kind.hint), image)
    evidence = f"the engine says: {said}" if said else "the engine gives no reason"
    return StartFailure("start.failed", f"the container could not be started; {evidence}")
