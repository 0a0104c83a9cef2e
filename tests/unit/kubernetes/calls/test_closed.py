"""A spawner that was closed makes no connections any more."""

from __future__ import annotations

import logging

import pytest
from spawnery.contract import SpawnerRuntime
from spawnery.errors import EngineError
from spawnery_kubernetes.plugin import KubernetesSpawner
from spawnery_kubernetes.settings import KubernetesSettings


def test_a_late_call_is_refused(tmp_path):
    """A thread that comes after the close would make connections that nobody closes."""
    config = tmp_path / "config"
    config.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}],"
        " contexts: [{name: x, context: {cluster: c}}], current-context: x}"
    )
    runtime = SpawnerRuntime(
        instance="tests",
        name_prefix="p",
        state_dir=tmp_path,
        io_timeout_seconds=1,
        environ={"KUBECONFIG": str(config)},
        logger=logging.getLogger("spawnery.kubernetes"),
        emit=lambda _event: None,
    )
    spawner = KubernetesSpawner(KubernetesSettings(), runtime)
    spawner.close()
    for call in (spawner.list_jobs, spawner.place, spawner.check):
        with pytest.raises(EngineError, match="was closed"):
            call()
