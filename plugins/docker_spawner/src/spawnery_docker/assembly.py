"""Puts the parts of the spawner together."""

from __future__ import annotations

from datetime import datetime

from spawnery.contract import SpawnerRuntime

from spawnery_docker.cache import Cache
from spawnery_docker.check.doctor import Doctor
from spawnery_docker.check.place import Places
from spawnery_docker.check.planning import Planning
from spawnery_docker.client import DockerClient
from spawnery_docker.containers.store import Containers
from spawnery_docker.images.store import Images
from spawnery_docker.network.choice import Networks
from spawnery_docker.output.logs import Logs
from spawnery_docker.output.reader import LogReader
from spawnery_docker.output.tails import Tails
from spawnery_docker.reach.endpoint import Endpoint
from spawnery_docker.reach.sockets import Sockets
from spawnery_docker.settings import DockerSettings
from spawnery_docker.spawning.spawn import Spawning
from spawnery_docker.spawning.waits import Waits
from spawnery_docker.status import End
from spawnery_docker.watch import Watching


class Parts:
    """Everything that one spawner works with; nothing is asked of the engine yet.

    Args:
        endpoint: Where the engine is.
        settings: Ours.
        runtime: The host.
    """

    def __init__(
        self, endpoint: Endpoint, settings: DockerSettings, runtime: SpawnerRuntime
    ) -> None:
        client = DockerClient(endpoint, clock=runtime.engine_clock)
        cache = Cache()
        sockets = Sockets(runtime.start_thread)
        tails = Tails(client, sockets, runtime, keep=settings.keep_tail)
        images = Images(client, runtime, pull_timeout_seconds=settings.pull_timeout_seconds)

        def heard(engine_id: str, code: int, problem: str) -> None:
            now = runtime.engine_clock.best_guess()
            cache.waited(engine_id, End(code=code, started_at=None, finished_at=now, error=problem))
            tails.saw_exit(engine_id)

        self._client = client
        self._sockets = sockets
        self._tails = tails
        self.networks = Networks(client)
        self.places = Places(client, runtime)
        self.containers = Containers(client, runtime, cache, tails)
        self.watching = Watching(
            client, runtime, containers=self.containers, tails=tails, cache=cache
        )
        self.spawning = Spawning(
            client,
            settings,
            runtime,
            images=images,
            containers=self.containers,
            waits=Waits(client, sockets, heard),
            tails=tails,
            cache=cache,
        )

        def latest() -> datetime:
            present = runtime.engine_clock.now()
            return runtime.engine_clock.best_guess() if present is None else present.latest

        timeout = runtime.io_timeout_seconds
        reader = LogReader(client, self.containers.show, latest, timeout=timeout)
        self.logs = Logs(reader, tails, self.containers.own, cache)
        self.planning = Planning(client, images, settings)
        self.doctor = Doctor(
            client=client,
            endpoint=endpoint,
            runtime=runtime,
            networks=self.networks,
            network=settings.network,
        )

    def close(self) -> None:
        """Close connections and end the threads."""
        self._sockets.close()
        self._tails.close()
        self._client.close()
