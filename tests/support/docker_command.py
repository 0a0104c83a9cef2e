"""The docker command as the reference: what it sends, and where, for given files and variables."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Mapping

from raw_server import RawServer, says, whole
from tools import need

_SECONDS = 60.0
_NOTHING = whole(b"[]", Api_Version="1.41", Ostype="linux", Content_Type="application/json")


def stand_in() -> RawServer:
    """Return an engine that answers everything with an empty list."""
    return RawServer(says(_NOTHING))


def docker_command(environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the docker command with these variables and no other ones."""
    need("docker")
    return subprocess.run(
        [shutil.which("docker") or "docker", *words],
        env={"PATH": "/usr/bin:/bin", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def dialled(environ: Mapping[str, str], *words: str) -> str:
    """Return what the docker command says of an engine that is not there."""
    return docker_command(environ, *words, "ps").stderr


def sent_for(image: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials that the docker command sends with a pull, empty for none."""
    with stand_in() as engine:
        host = engine.address.replace("http", "tcp")
        docker_command({**environ, "DOCKER_HOST": host}, "pull", image)
        asked = next(asked for asked in engine.asked if asked.startswith(b"POST"))
    found = re.search(rb"(?im)^x-registry-auth: *(\S*)\r", asked)
    decoded: dict[str, str] = json.loads(base64.urlsafe_b64decode(found[1])) if found else {}
    return decoded
