"""What a spec asks for, held against what the spawner can do (promise P5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from spawnery.errors import InvalidSpec, Unsupported
from spawnery.model.job import JobSpec, Resources
from spawnery.model.secret import SecretSource

_PLAIN_FIELDS: Final = (
    "image",
    "command",
    "args",
    "env",
    "secrets",
    "network",
    "labels",
    "workdir",
    "user",
    "deadline_seconds",
    "start_deadline_seconds",
    "pull_policy",
)
_RESOURCES: Final = {
    "memory_request": "requests",
    "memory_limit": "limits",
    "cpu_request": "requests",
    "cpu_limit": "limits",
    "gpus": "gpus",
    "ephemeral_storage": "ephemeral_storage",
}


def asked_for(job: JobSpec) -> Iterator[tuple[str, str]]:
    """Yield (field, capability) for each thing that a spec sets."""
    for name in _PLAIN_FIELDS:
        value = getattr(job, name)
        if value is not None and value != {}:
            yield name, f"field.{name}"
    if job.retention_seconds:
        yield "retention_seconds", "field.retention_seconds"
    if job.security is not None:
        yield "security", f"field.security.{job.security}"
    yield from _asked_resources(job.resources)
    for key, ref in job.secrets.items():
        if ref.source is SecretSource.ENGINE:
            yield f"secrets.{key}", "secrets.engine"


def _asked_resources(resources: Resources | None) -> Iterator[tuple[str, str]]:
    for name, capability in _RESOURCES.items():
        if resources is not None and getattr(resources, name) is not None:
            yield f"resources.{name}", f"field.resources.{capability}"


def refuse_unsupported(
    job: JobSpec,
    capabilities: frozenset[str],
    *,
    spawner: str,
    ignore: frozenset[str],
    lacking: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Refuse what the spawner does not have.

    Args:
        job: The spec after review.
        capabilities: What the spawner can do on its engine.
        spawner: Its name.
        ignore: What the operator chose to ignore, by capability without ``field.`` or by field.
        lacking: What the spawner declares and its engine turned out not to have, with the reason.

    Returns:
        The fields that are ignored because the operator chose so.

    Raises:
        Unsupported: Names the first field that is neither supported nor ignored.
    """
    ignored = []
    for name, capability in asked_for(job):
        if capability in capabilities:
            continue
        if not ignore.isdisjoint({name, capability, capability.removeprefix("field.")}):
            ignored.append(name)
            continue
        variable = f"SPAWNERY_{spawner.upper().replace('-', '_')}_IGNORE"
        why = lacking.get(capability)
        msg = f"{name}: the spawner {spawner} does not support it (it lacks {capability})"
        if why is not None:
            msg = f"{name}: the engine of the spawner {spawner} does not support it: {why}"
        other = "spawner" if why is None else "engine"
        hint = (
            f"leave {name} out, choose another {other}, or let it be ignored with a warning:"
            f" export {variable}={capability.removeprefix('field.')}"
        )
        raise Unsupported(msg, field=name, hint=hint, job_id=job.job_id)
    return tuple(ignored)


def own_options(job: JobSpec, *, spawner: str, kind: type[Any] | None) -> Any:
    """Build the spawner's options from the spec's; unknown keys are refused with the near miss.

    Raises:
        InvalidSpec: An option is unknown or its value is not allowed.
    """
    given: Mapping[str, Any] | None = job.options.get(spawner)
    if not given:
        return None if kind is None else kind()
    if kind is None:
        name = f"options.{spawner}.{next(iter(given))}"
        msg = f"{name}: the spawner {spawner} has no options"
        raise InvalidSpec(msg, field=name, job_id=job.job_id)
    from spawnery.jobfile.json import structure_options  # noqa: PLC0415 - cattrs is slow to import

    return structure_options(given, kind, field=f"options.{spawner}")


def unused_options(job: JobSpec, *, spawner: str) -> tuple[str, ...]:
    """Return the options that other spawners would read."""
    return tuple(
        f"options.{engine}.{key}"
        for engine, extras in job.options.items()
        if engine != spawner
        for key in extras
    )


class Granted:
    """Collects what is taken away from a declaration; any thread may use it.

    Args:
        declared: The capabilities of the plugin's declaration: the most that there can be.
    """

    def __init__(self, declared: frozenset[str]) -> None:
        self._lock = threading.Lock()
        self._present = declared
        self._lacking: dict[str, str] = {}

    def lacks(self, capability: str, why: str) -> None:
        """Take a capability away; see ``SpawnerRuntime.lacks``. The first reason stays."""
        with self._lock:
            if capability in self._present:
                self._present -= {capability}
                self._lacking[capability] = why

    @property
    def capabilities(self) -> frozenset[str]:
        """What the spawner can do, as far as its engine is known by now."""
        return self._present

    @property
    def lacking(self) -> Mapping[str, str]:
        """What was declared and is taken away, each with the reason."""
        with self._lock:
            return MappingProxyType(dict(self._lacking))
