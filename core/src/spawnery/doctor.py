"""What ``check`` looks at beside the engine: records, extensions, a probe job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from spawnery.contract import CheckItem
from spawnery.errors import SpawnerError
from spawnery.models import JobSpec
from spawnery.outcomes import JobState

if TYPE_CHECKING:
    from spawnery.opening import Parts
    from spawnery.spawner import Spawner

_PROBE_SECONDS: Final = 120.0


def check_all(
    spawner: Spawner, parts: Parts, *, probe: bool, probe_spec: JobSpec | None
) -> Sequence[CheckItem]:
    """Collect all findings; see ``Spawner.check``."""
    return list(_findings(spawner, parts, probe=probe, probe_spec=probe_spec))


def _findings(
    spawner: Spawner, parts: Parts, *, probe: bool, probe_spec: JobSpec | None
) -> Iterator[CheckItem]:
    yield CheckItem(name="instance", detail=spawner.instance)
    try:
        unfinished = spawner.records.unfinished()
    except SpawnerError as error:
        yield _failed("records", error)
    else:
        yield CheckItem(
            name="records", detail=f"readable, {len(unfinished)} jobs without an outcome"
        )
    try:
        parts.ledger.placement.contact()
        yield from parts.engine.check()
    except SpawnerError as error:
        yield _failed("engine", error)
        return
    for capability, why in parts.granted.lacking.items():
        hint = f"jobs that ask for {capability} are refused on this engine"
        detail = f"{capability} is lacking: {why}"
        yield CheckItem(name="capability", level="warning", detail=detail, hint=hint)
    if probe:
        yield _probed(spawner, probe_spec or JobSpec(command=["true"]))


def _failed(name: str, error: SpawnerError) -> CheckItem:
    return CheckItem(name=name, level="failed", detail=error.message, hint=error.hint)


def _probed(spawner: Spawner, spec: JobSpec) -> CheckItem:
    """Run a job and look how it ended; nothing of it stays."""
    try:
        spawner.spawn(spec)
        try:
            outcome = spawner.wait(spec.job_id, timeout=_PROBE_SECONDS)
        finally:
            spawner.remove(spec.job_id, force=True)
    except SpawnerError as error:
        return _failed("probe", error)
    if outcome.state is JobState.SUCCEEDED:
        return CheckItem(name="probe", detail=f"job {spec.job_id} ran and succeeded")
    detail = f"job {spec.job_id} ended {outcome.state} ({outcome.cause}): {outcome.message}"
    return CheckItem(name="probe", level="failed", detail=detail, hint=outcome.hint)
