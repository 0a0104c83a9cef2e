"""What importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import spawnery.local.supervision.program

PROGRAM = Path(spawnery.local.supervision.program.__file__)


def test_a_supervisor_imports_little():
    """No json, re, typing, asyncio or anything of ours beside its own rooms."""
    code = f"""
import runpy, sys
program = {str(PROGRAM)!r}
facts = runpy.run_path(program)
facts["_light_packages"]()
before = set(sys.modules)
import spawnery.local.supervision.supervisor
heavy = {{"json", "re", "typing", "enum", "subprocess", "attrs", "attr", "contextlib", "pathlib"}}
new = set(sys.modules) - before
assert not new & heavy, new & heavy
ours = sorted(name for name in sys.modules if name.startswith("spawnery."))
print(ours)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, env={}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(
        [
            f"spawnery.{name}"
            for name in (
                "local",
                "local.output",
                "local.output.log_file",
                "local.supervision",
                "local.supervision.launch",
                "local.supervision.supervisor",
                "local.system",
                "local.system.clocks",
                "local.system.files",
                "local.system.processes",
                "toolkit",
                "toolkit.log_tail",
            )
        ]
    )


def test_half_an_order_starts_nothing(tmp_path):
    """The supervisor says so and ends; nothing is written."""
    import os

    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), str(tmp_path), str(fd)],
            input=(100).to_bytes(8, "big") + b"half",
            capture_output=True,
            timeout=60,
            pass_fds=(fd,),
            env={},
        )
    finally:
        os.close(fd)
    assert done.returncode == 1
    assert b"incomplete" in done.stdout
    assert os.listdir(tmp_path) == ["lock"]
