"""What would be sent to the engine."""

from __future__ import annotations

from spawnery.contract import Deadline, Plan, PlanRequest
from spawnery.errors import SpawnerError

from spawnery_docker.client import DockerClient
from spawnery_docker.errors import ApiError
from spawnery_docker.images.store import ImageFacts, Images
from spawnery_docker.settings import DockerSettings
from spawnery_docker.translate import body_of, home_of, pull_policy, refuse


class Planning:
    """Shows requests.

    Args:
        client: The engine.
        images: What images say of themselves.
        settings: Ours.
    """

    def __init__(self, client: DockerClient, images: Images, settings: DockerSettings) -> None:
        self._client = client
        self._images = images
        self._settings = settings

    def plan(self, request: PlanRequest, *, deadline: Deadline) -> Plan:
        """Return the exact body of the create request; its secrets are masked already."""
        spawn = request.spawn
        refuse(spawn, self._settings, podman=self._client.podman is not None)
        name = spawn.job.image or ""
        notes = [f"pull policy: {pull_policy(spawn, self._settings)}"]
        if spawn.network is not None:
            notes.append(f"network {spawn.network.name} ({spawn.network.source})")
        image = None
        try:
            image = self._images.inspect(name, deadline=deadline)
        except (SpawnerError, ApiError) as error:
            notes.append(f"the engine was not asked for the image: {error.message}")
        else:
            if image is None:
                notes.append(f"the image {name} is not in the engine: its user is not known")
        facts = image or ImageFacts(reference=name, id="")
        home = home_of(spawn, facts)
        if home is not None and image is not None:
            notes.append(f"HOME {home}, not the one of the image (env.HOME=PATH)")
        body = body_of(spawn, self._settings, facts, podman=self._client.podman is not None)
        return Plan(
            engine_object={"POST": f"/containers/create?name={spawn.name}", "body": body},
            notes=tuple(notes),
        )
