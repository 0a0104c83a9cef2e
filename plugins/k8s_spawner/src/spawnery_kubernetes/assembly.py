"""Puts the parts of the spawner together."""

from __future__ import annotations

from spawnery.contract import SpawnerRuntime

from spawnery_kubernetes.access.resolve import Access
from spawnery_kubernetes.check.doctor import Doctor
from spawnery_kubernetes.check.planning import Planning
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.informer.events import Stuck
from spawnery_kubernetes.jobs.endings import Judge
from spawnery_kubernetes.jobs.namespace import Namespace
from spawnery_kubernetes.jobs.sidecars import Sidecars
from spawnery_kubernetes.jobs.store import Jobs
from spawnery_kubernetes.reading.logs import Logs
from spawnery_kubernetes.reading.pod_log import PodLogs
from spawnery_kubernetes.reading.tails import Tails
from spawnery_kubernetes.settings import KubernetesSettings
from spawnery_kubernetes.spawning.spawn import Spawning
from spawnery_kubernetes.watching.watch import Watching


class Parts:
    """Everything that one spawner works with; nothing is asked of the cluster yet.

    Args:
        access: The cluster.
        settings: Ours.
        runtime: The host.
    """

    def __init__(
        self, access: Access, settings: KubernetesSettings, runtime: SpawnerRuntime
    ) -> None:
        client = KubeClient(access, runtime.engine_clock)
        cache = Cache()
        tails = Tails(client, runtime)
        sidecars = Sidecars(client, runtime)
        judge = Judge(client, settings, runtime, cache=cache, tails=tails, sidecars=sidecars)
        stuck = Stuck(client, timeout=runtime.io_timeout_seconds)
        self._client = client
        self._tails = tails
        self._judge = judge
        self.jobs = Jobs(client, runtime, cache=cache, judge=judge, stuck=stuck)
        self.namespace = Namespace(client, access.server, assign_user=settings.assign_user)
        self.spawning = Spawning(
            client, settings, runtime, jobs=self.jobs, tails=tails, namespace=self.namespace
        )
        self.watching = Watching(client, runtime, cache=cache, judge=judge, stuck=stuck)
        self.logs = Logs(PodLogs(client, runtime, cache))
        self.planning = Planning(client, settings, self.namespace)
        self.doctor = Doctor(
            client=client,
            namespace=self.namespace,
            told=access.told,
            settings=settings,
            runtime=runtime,
        )

    def close(self) -> None:
        """Close connections and end the threads."""
        self.spawning.close()
        self._tails.close()
        self._judge.close()
        self._client.close()
