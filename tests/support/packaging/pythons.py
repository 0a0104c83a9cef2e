"""The supported Pythons that this machine has."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SUPPORTED: Final = ("3.11", "3.12", "3.13")
"""What the metadata promise and CI proves."""
NEXT: Final = ("3.14",)
"""Tried where it is installed; promised once CI has it."""
_ASKS: Final = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
_SECONDS: Final = 60.0


@functools.cache
def find_python(version: str) -> Path | None:
    """Return a Python of that version, such as ``3.13``, which can make environments."""
    return next((place for place in _candidates(version) if _answers(place, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    """Yield where one may be: ours, on PATH, and where pyenv keeps those that are not selected."""
    yield Path(sys.executable)
    named = shutil.which(f"python{version}")
    if named is not None:
        yield Path(named)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _answers(place: Path, version: str) -> bool:
    """Tell whether it is what its name says: a shim may stand for nothing."""
    try:
        done = subprocess.run(
            [place, "-c", _ASKS], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except OSError:
        return False
    return done.stdout.strip() == version
