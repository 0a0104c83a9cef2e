"""Programs whose clock is wrong, by libfaketime."""

from __future__ import annotations

import os
from pathlib import Path

from absence import absent

_LIBRARY = "faketime/libfaketimeMT.so.1"
_SITE = Path(__file__).with_name("wrong_clock")


def shifted(offset: str) -> dict[str, str]:
    """Return the variables under which a program's clock is wrong by ``offset`` (``+1h``).

    Its monotonic clock is left alone: the kernel's waits are counted by the real one. The test is
    skipped where libfaketime is not installed.
    """
    found = next((lib for lib in Path("/usr/lib").glob(f"*/{_LIBRARY}")), None)
    if found is None:
        absent("faketime", "libfaketime is not installed")
    python_path = os.environ.get("PYTHONPATH")
    return {
        "LD_PRELOAD": str(found),
        "PYTHONPATH": os.pathsep.join([str(_SITE), *([python_path] if python_path else [])]),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
