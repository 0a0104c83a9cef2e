"""What the Kubernetes spawner is measured against: the package's own calls, and raw urllib3."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import urllib3
from kubernetes.client import ApiClient, BatchV1Api
from kubernetes.config import new_client_from_config


class PackageClient:
    """``BatchV1Api`` as its own loader sets it up.

    Args:
        kubeconfig: Path of the file.
        namespace: Where.
    """

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self._client: ApiClient = new_client_from_config(kubeconfig)
        self._api = BatchV1Api(self._client)
        self._namespace = namespace

    def create(self, body: Mapping[str, Any]) -> None:
        """Make a Job."""
        self._api.create_namespaced_job(self._namespace, body)

    def close(self) -> None:
        """Close all connections."""
        self._client.rest_client.pool_manager.clear()


class RawCluster:
    """Connections that are kept alive, and no more code than a request needs.

    Args:
        server: ``https://host:port``.
        authority: The cluster's certificate authority, as PEM.
        token: Whom to be.
        namespace: Where.
        connections: How many at once.
    """

    def __init__(
        self, server: str, authority: str, token: str, namespace: str, *, connections: int
    ) -> None:
        parts = urllib3.util.parse_url(server)
        self._pool = urllib3.HTTPSConnectionPool(
            parts.host or "",
            parts.port,
            maxsize=connections,
            block=True,
            retries=False,
            ssl_context=ssl.create_default_context(cadata=authority),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        self.jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.pods = f"/api/v1/namespaces/{namespace}/pods"

    def create(self, body: Mapping[str, Any]) -> None:
        """Make a Job.

        Raises:
            RuntimeError: The cluster refused.
        """
        reply = self._pool.urlopen("POST", self.jobs, body=json.dumps(body))
        if reply.status != HTTPStatus.CREATED:
            raise RuntimeError(reply.data[:300])
        json.loads(reply.data)

    def count(self) -> int:
        """Return how many Jobs there are."""
        return len(json.loads(self._pool.urlopen("GET", self.jobs).data)["items"])

    def watch_pods(self) -> Iterator[dict[str, Any]]:
        """Yield pods as they change, from now on."""
        return self._watch(self.pods)

    def _watch(self, path: str) -> Iterator[dict[str, Any]]:
        path = f"{path}?watch=1&resourceVersion=0&timeoutSeconds=600"
        reply = self._pool.urlopen("GET", path, preload_content=False)
        rest = b""
        for block in reply.stream(65536):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield json.loads(line)["object"]

    def close(self) -> None:
        """Close all connections; a watch ends with the next change."""
        self._pool.close()
