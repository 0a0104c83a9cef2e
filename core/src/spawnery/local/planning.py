"""The hook ``plan``: what would be written and run."""

from __future__ import annotations

from spawnery.contract.declaration import SpawnerRuntime
from spawnery.contract.requests import Plan, PlanRequest
from spawnery.local.settings import LocalSettings
from spawnery.local.system.clocks import Clocks
from spawnery.local.translate import passed_env, record_of
from spawnery.model.secret import MASK


def plan_of(request: PlanRequest, settings: LocalSettings, runtime: SpawnerRuntime) -> Plan:
    """Show a job as it would be kept and run.

    Raises:
        InvalidSpec: The spec names no program.
    """
    spawn = request.spawn
    record = record_of(spawn, settings, instance=runtime.instance, now=Clocks().now())
    for key in ("nonce", "accepted_at", "accepted_boot", "boot", "machine"):
        del record[key]
    inherited = passed_env(runtime.environ, settings)
    record["env"] = {**spawn.env, **dict.fromkeys(spawn.secrets, MASK)}
    record["inherited"] = sorted(set(inherited) - set(record["env"]))
    notes = ["runs as a process of this machine: it isolates nothing, no image, no limits"]
    if spawn.job.workdir is None:
        notes.append("workdir: an empty folder of the job's own, removed with the job")
    return Plan(engine_object=record, notes=tuple(notes))
