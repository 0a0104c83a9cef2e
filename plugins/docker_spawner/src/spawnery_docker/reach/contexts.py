"""A docker context that a setting names: where its files are, and what they say.

Layout of the store: github.com/docker/cli, cli/context/store/doc.go. ``docker.context`` of the
docker package (7.1, 7.2) differs from the docker command (20.10, 28.2), so it is not used:

* A context that is not there, or that has no docker endpoint, is the usual socket: jobs would run
  on another engine. A damaged one is a bare ``Exception``.
* One without all of CA, certificate and key is plain TCP, and so is ``SkipTLSVerify`` without them.
* An address needs a port. Only our process's own environment says where the files are.

tests/unit/docker/reach/test_context_differences.py shows each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spawnery.errors import ConfigurationError

from spawnery_docker.reach.endpoint import Endpoint, default_config_folder, parse_host
from spawnery_docker.reach.tls import TlsFiles

_PORTS: Final = (80, 443)
"""Of an address without a port: in a context it is that of HTTP, unlike in ``DOCKER_HOST``."""


def context_endpoint(name: str, environ: Mapping[str, str]) -> Endpoint:
    """Return the endpoint of a context.

    Args:
        name: Its name, not ``default``.
        environ: Our own environment: ``DOCKER_CONFIG``, ``HOME``.

    Raises:
        ConfigurationError: There is no such context, or it cannot be used.
    """
    source = f"context {name}"
    store = default_config_folder(environ) / "contexts"
    folder = hashlib.sha256(name.encode()).hexdigest()
    docker = _read(store / "meta" / folder / "meta.json", name)
    verify = not docker.get("SkipTLSVerify", False)
    files = TlsFiles.in_folder(store / "tls" / folder / "docker", verify=verify)
    given = files.ca or files.cert or not files.verify
    text = str(docker.get("Host") or "")
    tls = files if given else None
    return parse_host(text, source=source, tls=tls, environ=environ, ports=_PORTS)


def _read(path: Path, name: str) -> Mapping[str, Any]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        endpoint: Mapping[str, Any] = meta["Endpoints"]["docker"]
    except FileNotFoundError:
        msg = f"there is no docker context {name!r} in {path.parents[2]}"
        raise ConfigurationError(msg, hint="see what there is: docker context ls") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = getattr(error, "strerror", None) or "it has no docker endpoint"
        msg = f"the docker context {name!r} cannot be read: {why}"
        raise ConfigurationError(msg, hint=f"look at it: docker context inspect {name}") from None
    return endpoint
