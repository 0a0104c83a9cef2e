"""The engines that other suites build on are there and answer."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_probe import docker_get, redis_ping


@pytest.mark.engine("docker")
def test_docker_answers_with_an_api_version(docker_socket: str) -> None:
    """A daemon says OK to a ping and names an API version of 1.40 or newer."""
    assert docker_get(docker_socket, "/_ping") == (200, b"OK")
    status, body = docker_get(docker_socket, "/version")
    assert status == 200
    major, minor = json.loads(body)["ApiVersion"].split(".")
    assert (int(major), int(minor)) >= (1, 40)


@pytest.mark.engine("redis")
def test_redis_answers_ping(redis_address: str) -> None:
    """A Redis answers PONG."""
    host, _, port = redis_address.rpartition(":")
    assert redis_ping(host, int(port)) == b"+PONG\r\n"


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _material(section: dict[str, Any], key: str, folder: Path) -> str:
    """Return a path to the PEM text that a kubeconfig holds by path or inline."""
    if key in section:
        return str(section[key])
    path = folder / key
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(section[f"{key}-data"]))
    return str(path)


@pytest.mark.engine("kubernetes")
def test_cluster_is_ready(kubeconfig: str, tmp_path: Path) -> None:
    """The API server that the kubeconfig names says that it is ready."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    trust = ssl.create_default_context(
        cafile=_material(cluster, "certificate-authority", tmp_path),
    )
    headers = {}
    if "token" in user:
        headers["Authorization"] = f"Bearer {user['token']}"
    else:
        trust.load_cert_chain(
            _material(user, "client-certificate", tmp_path),
            _material(user, "client-key", tmp_path),
        )
    server = urllib.parse.urlsplit(cluster["server"])
    connection = http.client.HTTPSConnection(
        server.hostname or "", server.port or 443, timeout=60, context=trust
    )
    try:
        connection.request("GET", "/readyz", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok")
    finally:
        connection.close()
