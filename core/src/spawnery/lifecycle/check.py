"""What ``check`` looks at beside the engine: records, extensions, a probe job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from spawnery.contract.requests import CheckItem
from spawnery.errors import SpawnerError
from spawnery.model.job import JobSpec
from spawnery.model.outcome import JobState

if TYPE_CHECKING:
    from spawnery.lifecycle.calls import Engine
    from spawnery.lifecycle.ledger import Ledger
    from spawnery.lifecycle.preparation.capabilities import Granted
    from spawnery.model.outcome import JobHandle, Outcome

_PROBE_SECONDS: Final = 120.0
_CLOCK_SECONDS: Final = 2.0
"""How far the engine's clock may be from ours before it is worth a warning."""


class Runs(Protocol):
    """Runs a job, as ``Spawner`` does."""

    def spawn(self, spec: JobSpec, /) -> JobHandle:
        """Run a job."""

    def wait(self, job_id: str, /, *, timeout: float | None) -> Outcome:
        """Wait until it has ended."""

    def remove(self, job_id: str, /, *, force: bool) -> None:
        """Remove it."""


def check_all(
    runs: Runs,
    *,
    instance: str,
    engine: Engine,
    ledger: Ledger,
    granted: Granted,
    probe: JobSpec | None,
) -> Sequence[CheckItem]:
    """Collect all findings; see ``Spawner.check``.

    Args:
        runs: Runs the probe.
        instance: The installation that owns the jobs.
        engine: The spawner's hooks.
        ledger: The records.
        granted: What the spawner can do on its engine.
        probe: A job to run; None for none.
    """
    return list(
        _findings(
            runs, instance=instance, engine=engine, ledger=ledger, granted=granted, probe=probe
        )
    )


def _findings(
    runs: Runs,
    *,
    instance: str,
    engine: Engine,
    ledger: Ledger,
    granted: Granted,
    probe: JobSpec | None,
) -> Iterator[CheckItem]:
    yield CheckItem(name="instance", detail=instance)
    try:
        unfinished = ledger.records.unfinished()
    except SpawnerError as error:
        yield _failed("records", error)
    else:
        yield CheckItem(
            name="records", detail=f"readable, {len(unfinished)} jobs without an outcome"
        )
    try:
        ledger.placement.contact()
        yield from engine.check()
    except SpawnerError as error:
        yield _failed("engine", error)
        return
    for capability, why in granted.lacking.items():
        hint = f"jobs that ask for {capability} are refused on this engine"
        detail = f"{capability} is lacking: {why}"
        yield CheckItem(name="capability", level="warning", detail=detail, hint=hint)
    if "clock" in granted.capabilities:
        yield clock_item(ledger.engine_clock.offset())
    if probe is not None:
        yield _probed(runs, probe)


def clock_item(offset: tuple[timedelta, timedelta] | None) -> CheckItem:
    """Say how far the engine's clock is from ours; a warning where it is surely too far.

    Args:
        offset: How far it is ahead, at least and at most; None where it was never read.
    """
    if offset is None:
        detail = "the engine does not say its time; deadlines and ages wait until it does"
        return CheckItem(name="clock", level="warning", detail=detail)
    least, most = (bound.total_seconds() for bound in offset)
    middle, error = (least + most) / 2, (most - least) / 2
    if least <= 0 <= most:
        detail = f"the engine's clock and ours agree, within {max(-least, most):.1f} s"
        return CheckItem(name="clock", detail=detail)
    side = "ahead of" if middle > 0 else "behind"
    detail = f"the engine's clock is {abs(middle):.1f} s {side} ours (measured to {error:.1f} s)"
    if min(abs(least), abs(most)) <= _CLOCK_SECONDS:
        return CheckItem(name="clock", detail=detail)
    return CheckItem(
        name="clock",
        level="warning",
        detail=f"{detail}; deadlines and ages are kept by the engine's clock",
        hint="set the clock that is wrong, on this machine or the engine's: timedatectl status",
    )


def _failed(name: str, error: SpawnerError) -> CheckItem:
    return CheckItem(name=name, level="failed", detail=error.message, hint=error.hint)


def _probed(runs: Runs, spec: JobSpec) -> CheckItem:
    """Run a job and look how it ended; nothing of it stays."""
    try:
        runs.spawn(spec)
        try:
            outcome = runs.wait(spec.job_id, timeout=_PROBE_SECONDS)
        finally:
            runs.remove(spec.job_id, force=True)
    except SpawnerError as error:
        return _failed("probe", error)
    if outcome.state is JobState.SUCCEEDED:
        return CheckItem(name="probe", detail=f"job {spec.job_id} ran and succeeded")
    detail = f"job {spec.job_id} ended {outcome.state} ({outcome.cause}): {outcome.message}"
    return CheckItem(name="probe", level="failed", detail=detail, hint=outcome.hint)
