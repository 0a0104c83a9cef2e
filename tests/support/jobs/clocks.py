"""Programs whose clock is wrong, or is set while they run, by libfaketime."""

from __future__ import annotations

import os
from pathlib import Path

from absence import absent

_LIBRARY = "faketime/libfaketimeMT.so.1"
_SITE = Path(__file__).with_name("wrong_clock")


def shifted(offset: str) -> dict[str, str]:
    """Return the variables under which a program's clock is wrong by ``offset`` (``+1h``).

    The test is skipped where libfaketime is not installed.
    """
    return {**_preloaded(), "FAKETIME": offset}


class SettableClock:
    """The wall clock of a program, to be set while it runs.

    Args:
        file: Where its offset is kept; the clock is right until it is set.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    @property
    def environ(self) -> dict[str, str]:
        """The variables under which a program has this clock; errors as ``shifted``."""
        return {
            **_preloaded(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, offset: str) -> None:
        """Let the clock be wrong by ``offset`` from now on."""
        draft = self._file.with_suffix(".new")
        draft.write_text(offset)
        draft.replace(self._file)  # the program may read it at any moment


def _preloaded() -> dict[str, str]:
    """Return what loads libfaketime.

    It leaves the monotonic clocks alone: no setting of a wall clock moves them, and the kernel's
    own waits are counted by the real ones.
    """
    found = next((lib for lib in Path("/usr/lib").glob(f"*/{_LIBRARY}")), None)
    if found is None:
        absent("faketime", "libfaketime is not installed")
    python_path = os.environ.get("PYTHONPATH")
    return {
        "LD_PRELOAD": str(found),
        "PYTHONPATH": os.pathsep.join([str(_SITE), *([python_path] if python_path else [])]),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
