"""What ``plan`` shows: the engine's object and how it came about."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from spawnery.contract.requests import Plan, PlanRequest, SpawnRequest
from spawnery.lifecycle.calls import Engine
from spawnery.lifecycle.preparation.capabilities import unused_options
from spawnery.lifecycle.preparation.prepare import Prepared
from spawnery.model.job import JobSpec, Network
from spawnery.model.secret import MASK, Secret


@frozen(kw_only=True)
class JobPlan:
    """What would be sent to the engine, and how it came about.

    Attributes:
        plan: The engine's object, notes, and problems that the engine found.
        spec: The spec after review.
        spawner: Name of the spawner.
        name: Name of the object.
        spec_hash: Hash of the spec as submitted.
        network: The network and how it was found.
        env: All variables, secret ones masked.
        ignored: Fields that the operator lets the spawner ignore.
        unused_options: Options under another engine's name.
    """

    plan: Plan
    spec: JobSpec
    spawner: str
    name: str
    spec_hash: str
    network: Network | None
    env: Mapping[str, str]
    ignored: tuple[str, ...]
    unused_options: tuple[str, ...]


def plan_job(
    engine: Engine, request: SpawnRequest, prepared: Prepared, *, validate: bool
) -> JobPlan:
    """Ask the spawner for its plan of a complete request whose secrets are masked already."""
    hidden = {
        key: MASK if isinstance(value, Secret) else f"<{value.describe()}>"
        for key, value in prepared.secrets.items()
    }
    return JobPlan(
        plan=engine.plan(PlanRequest(spawn=request, validate=validate)),
        spec=prepared.job,
        spawner=engine.name,
        name=request.name,
        spec_hash=request.spec_hash,
        network=prepared.network,
        env={**prepared.env, **hidden},
        ignored=prepared.ignored,
        unused_options=unused_options(prepared.job, spawner=engine.name),
    )
