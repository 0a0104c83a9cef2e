"""Jobs on a Docker engine for tests that look at more than the conformance kit does."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
from collections.abc import Iterable
from pathlib import Path

from docker_images import BUSYBOX
from spawnery.model import JobSpec, LogChunk
from spawnery.spawner import Spawner

PATIENCE = 60.0


def open_spawner(folder: Path, address: str, **variables: str) -> Spawner:
    """Open the Docker spawner with a state directory and an instance of its own."""
    return Spawner.open(environ=environ_of(folder, address, **variables))


def environ_of(folder: Path, address: str, **variables: str) -> dict[str, str]:
    """Return the environment of a process that uses the Docker spawner."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DOCKER_HOST": address if "://" in address else f"unix://{address}",
        "SPAWNER_TYPE": "docker",
        "SPAWNERY_STATE_DIR": str(folder / "state"),
        # Of the whole path: two workers have folders of one name.
        "SPAWNERY_INSTANCE": f"test-{hashlib.sha256(bytes(folder)).hexdigest()[:12]}",
        "SPAWNERY_NAME_PREFIX": f"t{secrets.token_hex(3)}",
        "SPAWNERY_SETTLE_SECONDS": "0.5",
        **variables,
    }


def shell(script: str, **fields: object) -> JobSpec:
    """Return a job that runs a script."""
    return JobSpec(image=BUSYBOX, command=["sh", "-c", script], **fields)  # type: ignore[arg-type]


def joined(chunks: Iterable[LogChunk]) -> dict[str, bytes]:
    """Put the pieces of each stream together."""
    found: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    for chunk in chunks:
        found[chunk.stream].append(chunk.data)
    return {name: b"".join(parts) for name, parts in found.items()}


def docker(address: str, *words: str) -> str:
    """Run the docker command, past the spawner; returns what it prints."""
    where = address if "://" in address else f"unix://{address}"
    command = ["docker", "-H", where, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout.strip()
