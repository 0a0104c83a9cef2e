"""Images in the cluster of the tests: it pulls nothing, what it lacks is loaded into its nodes."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from absence import BRING
from docker_images import BUSYBOX, make_busybox
from kubectl import Kubectl

_SECONDS: Final = 300.0
_LOCK: Final = "spawnery-test-images"


def load_busybox(kubectl: Kubectl) -> str:
    """Put the image of most tests on every node; returns its name."""
    with (Path(tempfile.gettempdir()) / f"{_LOCK}-{os.getuid()}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not on_every_node(kubectl, BUSYBOX):
            make_busybox()
            load(kubectl, BUSYBOX)
    return BUSYBOX


def on_every_node(kubectl: Kubectl, image: str) -> bool:
    """Tell whether all ready nodes have an image; they may tell of it some seconds late."""
    for node in kubectl.get("nodes")["items"]:
        conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
        if conditions.get("Ready") != "True":
            continue
        names = [
            name for known in node["status"].get("images", []) for name in known["names"] or ()
        ]
        if not {image, f"docker.io/{image}"} & set(names):
            return False
    return True


def load(kubectl: Kubectl, image: str) -> None:
    """Copy an image of this machine's Docker engine to every node, by the cluster's own means."""
    context = kubectl("config", "current-context").strip()
    done = subprocess.run(
        _loader(context, image), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert not done.returncode, f"{' '.join(done.args)}: {done.stderr}"


def _loader(context: str, image: str) -> list[str]:
    """Return the command that loads an image into the cluster that a context is about."""
    tool, _, name = context.partition("-")
    if tool == "kind" and shutil.which("kind"):
        return ["kind", "load", "docker-image", image, "--name", name]
    if tool == "k3d" and shutil.which("k3d"):
        return ["k3d", "image", "import", image, "--cluster", name]
    if os.environ.get("SPAWNERY_TEST_CLUSTER"):
        return [os.environ["SPAWNERY_TEST_CLUSTER"], "load", image]
    text = (
        f"the nodes of the cluster {context} do not have {image}, and there is no known way to"
        f" load it: copy it there (docker save {image}), or let a cluster be made: {BRING}"
    )
    raise AssertionError(text)
