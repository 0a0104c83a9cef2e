"""Podman's Docker-compatible API, in a network namespace and folders of its own."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands import checked
from docker_images import make_busybox
from tools import need

READY_SECONDS = 60.0


@contextmanager
def podman_service() -> Iterator[str]:
    """Run ``podman system service`` with the image of the tests; its address.

    ``SPAWNERY_TEST_PODMAN`` names the address of one that runs already (scripts/newer-podman.sh).
    """
    given = os.environ.get("SPAWNERY_TEST_PODMAN")
    if given:
        make_busybox(given)
        yield given
        return
    need("podman")
    folder = Path(tempfile.mkdtemp(prefix="spp-", dir="/tmp"))
    name = folder.name
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Podman wants more open files for each container than some machines may give.
    limits = f'[containers]\ndefault_ulimits=["nofile={hard}:{hard}","nproc=4096:4096"]\n'
    (folder / "containers.conf").write_text(limits)
    checked("ip", "netns", "add", name)
    # Without a tmpdir of their own all services of the machine share one file of events.
    storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
    storage += ["--tmpdir", f"{folder}/tmp"]
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
    }
    address = f"unix://{folder}/podman.sock"
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *("nsenter", f"--net=/var/run/netns/{name}", "--", "podman", *storage),
                    *("system", "service", "--time", "0", address),
                ],
                env=environ,
                cwd=folder,  # conmon leaves files where it is (4.3: "oom").
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until = time.monotonic() + READY_SECONDS
            while not (folder / "podman.sock").exists():
                if time.monotonic() > until or process.poll() is not None:
                    said = (folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"podman does not start: {said}")
                time.sleep(0.05)
            make_busybox(address)
            yield address
        finally:
            process.terminate()
            process.wait(READY_SECONDS)
    finally:
        checked("ip", "netns", "delete", name)
        shutil.rmtree(folder, ignore_errors=True)
