"""Every field of a spec that a spawner may have or lack, for the tests of P5."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from spawnery.model.job import Resources
from spawnery.model.secret import SecretRef


@frozen
class Field:
    """A field that is set, and the capability that it asks for.

    Attributes:
        name: The field.
        capability: What it asks for.
        value: What it is set to.
        opposite: For a value that is the default: the one that it is told apart from.
    """

    name: str
    capability: str
    value: Any
    opposite: Field | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The argument of ``JobSpec`` that sets it."""
        return {self.name.partition(".")[0]: self.value}


_BASELINE = Field("security", "field.security.baseline", "baseline")
FIELDS = (
    Field("image", "field.image", "registry.example/image:1"),
    Field("args", "field.args", ("one",)),
    Field("env", "field.env", {"KIT_FIELD": "text"}),
    Field("secrets", "field.secrets", {"KIT_SECRET": SecretRef.literal("kit-secret-value")}),
    Field("network", "field.network", "kit-network"),
    Field("labels", "field.labels", {"kit": "label"}),
    Field("workdir", "field.workdir", "/tmp"),
    Field("user", "field.user", "12345:12345"),
    Field("deadline_seconds", "field.deadline_seconds", 77.0),
    Field("start_deadline_seconds", "field.start_deadline_seconds", 78.0),
    Field("retention_seconds", "field.retention_seconds", 79.0),
    Field("pull_policy", "field.pull_policy", "never"),
    Field("security", "field.security.restricted", "restricted", opposite=_BASELINE),
    _BASELINE,
    Field("resources.memory_request", "field.resources.requests", Resources(memory_request="9Mi")),
    Field("resources.cpu_request", "field.resources.requests", Resources(cpu_request="17m")),
    Field("resources.memory_limit", "field.resources.limits", Resources(memory_limit="99Mi")),
    Field("resources.cpu_limit", "field.resources.limits", Resources(cpu_limit="170m")),
    Field("resources.gpus", "field.resources.gpus", Resources(gpus=1)),
    Field(
        "resources.ephemeral_storage",
        "field.resources.ephemeral_storage",
        Resources(ephemeral_storage="77Mi"),
    ),
    Field("secrets.KIT", "secrets.engine", {"KIT": SecretRef.engine("some-secret", "some-key")}),
)
