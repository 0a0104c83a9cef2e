"""Which pods have run their program: noted as it happens, because pods go too soon."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from kube_api import KubeApi
from kube_foreign import foreign_pod

_PATIENCE: Final = 120.0
_JOB_NAME: Final = "batch.kubernetes.io/job-name"
_WATCHED_SECONDS: Final = 600
_PAUSE: Final = 0.2
_SUFFIX: Final = len("-abcde")


class Runs:
    """Watches the pods of a namespace for as long as it is open.

    Args:
        api: The namespace.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._news = threading.Condition()
        self._names: set[str] = set()
        self._started: dict[str, set[str]] = defaultdict(set)
        self._socket: socket.socket | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="kube-runs", daemon=True)
        self._thread.start()

    def of(self, job: str) -> int:
        """Count the pods of a Job of this name whose container was ever started."""
        mark = f"mark-{secrets.token_hex(6)}"
        gates = [{"name": "spawnery.dev/test"}]
        self._api.create("pods", foreign_pod(mark, schedulingGates=gates))
        with self._news:
            seen = self._news.wait_for(lambda: mark in self._names, _PATIENCE)
        self._api.delete("pods", mark)
        assert seen, "the watch of the pods told nothing"
        return len(self._started[job] | self._told(job))

    def _told(self, job: str) -> set[str]:
        """Return the pods of which the kubelet tells so: a watch misses what a restart hides."""
        query = urlencode({"fieldSelector": "reason=Started,involvedObject.kind=Pod"})
        events = self._api.call("GET", f"{self._api.path('events')}?{query}")["items"]
        pods = [(event["involvedObject"], event["involvedObject"]["name"]) for event in events]
        return {
            pod["uid"]
            for pod, name in pods
            if name[:-_SUFFIX] == job and pod.get("fieldPath") == "spec.containers{job}"
        }

    def close(self) -> None:
        """End the watch."""
        with self._news:
            self._closed = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        version = ""
        while not self._closed:
            if not version:
                shown = self._api.call("GET", self._api.path("pods"))
                version = shown["metadata"]["resourceVersion"]
                for pod in shown["items"]:
                    self._saw(pod)
            try:
                version = self._watch(version)
            except (OSError, http.client.HTTPException):
                version = ""
                time.sleep(_PAUSE)

    def _watch(self, version: str) -> str:
        """Read one stream to its end; returns from where to go on, "" for from a new list."""
        query = {"watch": 1, "resourceVersion": version, "timeoutSeconds": _WATCHED_SECONDS}
        with self._api.lines(self._api.path("pods"), **query) as (lines, sock):
            with self._news:
                if self._closed:
                    return version
                self._socket = sock
            try:
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return ""
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._saw(event["object"])
            except (OSError, ValueError):
                return version
            finally:
                with self._news:
                    self._socket = None
        return version

    def _saw(self, pod: Mapping[str, Any]) -> None:
        meta = pod["metadata"]
        with self._news:
            self._names.add(meta["name"])
            job = meta.get("labels", {}).get(_JOB_NAME)
            if job is not None and _started(pod):
                self._started[job].add(meta["uid"])
            self._news.notify_all()


def _started(pod: Mapping[str, Any]) -> bool:
    for status in pod["status"].get("containerStatuses", []):
        state = status.get("state", {})
        if status["name"] == "job" and ("running" in state or "terminated" in state):
            return True
    return False
