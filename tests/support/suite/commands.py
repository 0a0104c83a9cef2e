"""Programs that tests need to do their work: where one fails, the error has what it printed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

_SHOWN: Final = 4000
"""How much of the end of its output is worth showing."""


def checked(*command: str | Path, seconds: float = 120.0, **options: Any) -> str:
    """Run a program that must succeed; returns what it wrote to stdout.

    ``subprocess.run(check=True, capture_output=True)`` keeps what the program said to itself: the
    error names its exit code only, and a failure by chance stays unexplained.

    Args:
        command: The program and its arguments.
        seconds: It is killed when it takes longer.
        options: Further arguments of ``subprocess.run``; ``input`` is bytes.

    Raises:
        RuntimeError: It could not be started, failed, or took too long.
    """
    words = [str(word) for word in command]
    given = options if "input" in options else {"stdin": subprocess.DEVNULL, **options}
    try:
        done = subprocess.run(words, capture_output=True, timeout=seconds, check=False, **given)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(_failure(words, f"took over {seconds:g} s", error)) from None
    except OSError as error:
        raise RuntimeError(f"{' '.join(words)}: {error}") from error
    if done.returncode:
        raise RuntimeError(_failure(words, f"exit code {done.returncode}", done))
    return str(done.stdout.decode(errors="replace"))


def _failure(words: list[str], what: str, done: Any) -> str:
    parts = [f"{' '.join(words)}: {what}"]
    for name in ("stdout", "stderr"):
        text = (getattr(done, name) or b"").decode(errors="replace").strip()
        if text:
            parts.append(f"{name}: {text[-_SHOWN:]}")
    return "\n".join(parts)
