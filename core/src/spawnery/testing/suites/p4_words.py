"""P4: the same words on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spawnery.errors import EngineUnreachable, SpawnerError, SpawnFailed
from spawnery.model.job import JobSpec
from spawnery.model.outcome import JobState, Outcome
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import Suite, finished, need, need_faults, nothing_left
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench


class Words(Suite):
    """Each way to fail has its code, a message with the evidence, and a next step."""

    @promise("P4")
    def test_success(self, bench: Bench, spawner: Spawner) -> None:
        """Exit code 0 is exit.zero."""
        outcome = finished(spawner, bench.spec(bench.commands.exits(0), job_id="zero"))
        assert outcome.cause == "exit.zero"

    @promise("P4")
    def test_nonzero_exit(self, bench: Bench, spawner: Spawner) -> None:
        """Another exit code is exit.nonzero, and the message names it."""
        outcome = finished(spawner, bench.spec(bench.commands.exits(42), job_id="nonzero"))
        _explained(outcome, "exit.nonzero")
        assert "42" in outcome.message

    @promise("P4")
    def test_a_signal(self, bench: Bench, spawner: Spawner) -> None:
        """A program that dies of a signal is exit.signal (or killed.external), with 128+n."""
        command = bench.commands.signals_itself(9)
        outcome = finished(spawner, bench.spec(command, job_id="signalled"))
        _explained(outcome, "exit.signal", "killed.external")
        assert outcome.exit_code == 128 + 9

    @promise("P4")
    def test_out_of_memory(self, bench: Bench, spawner: Spawner) -> None:
        """A program that runs out of memory is oom."""
        need(spawner, "oom", "field.resources.limits")
        from spawnery.model.job import Resources  # noqa: PLC0415 - only here

        command = bench.commands.runs_out_of_memory()
        limits = Resources(memory_limit="32Mi")
        outcome = finished(spawner, bench.spec(command, job_id="hungry", resources=limits))
        _explained(outcome, "oom")
        assert outcome.oom

    @promise("P4")
    def test_a_command_that_is_not_there(self, bench: Bench, spawner: Spawner) -> None:
        """A program that does not exist is start.command_not_found."""
        _fails(bench, spawner, bench.spec(bench.commands.is_not_there(), job_id="nowhere"),
               "start.command_not_found")  # fmt: skip

    @promise("P4")
    def test_an_image_that_is_not_there(self, bench: Bench, spawner: Spawner) -> None:
        """An image that does not exist is image.not_found, and the message names it."""
        need(spawner, "field.image")
        # Not pulled where that can be said: a registry that cannot be reached is another case.
        fields = {"pull_policy": "never"} if "field.pull_policy" in spawner.capabilities else {}
        command = bench.commands.exits(0)
        spec = bench.spec(command, job_id="imageless", image=bench.missing_image, **fields)
        message = _fails(bench, spawner, spec, "image.not_found")
        assert bench.missing_image in message

    @promise("P4")
    def test_a_network_that_is_not_there(self, bench: Bench, spawner: Spawner) -> None:
        """A network that does not exist is network.not_found, and the message names it."""
        need(spawner, "field.network")
        name = bench.missing_network
        spec = bench.spec(bench.commands.exits(0), job_id="netless", network=name)
        message = _fails(bench, spawner, spec, "network.not_found")
        assert name in message

    @promise("P4")
    def test_cancelled(self, bench: Bench, spawner: Spawner) -> None:
        """A stop is cancelled."""
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="stopped"))
        outcome = spawner.stop("stopped")
        assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
        assert outcome.message

    @promise("P4")
    def test_an_engine_that_does_not_answer(self, bench: Bench) -> None:
        """Nothing there to connect to is engine.unreachable, with a next step; then it works."""
        port = need_faults(bench, "status")
        port.arm(Rule(Fault.REFUSE))
        with bench.open() as spawner:
            with pytest.raises(EngineUnreachable) as caught:
                spawner.spawn(bench.spec(bench.counted("deaf"), job_id="deaf"))
            assert caught.value.cause == "engine.unreachable"
            assert caught.value.retryable
            assert caught.value.hint
            port.clear()
            spec = bench.spec(bench.counted("deaf"), job_id="deaf")
            assert finished(spawner, spec).state is JobState.SUCCEEDED
        assert bench.runs_of("deaf") == 1

    @promise("P4")
    def test_an_error_of_the_engine(self, bench: Bench, spawner: Spawner) -> None:
        """An answer 500 is an error in our words, never an exception of a client library."""
        port = need_faults(bench, "list")
        at = bench.fault_points["list"]
        port.arm(Rule(Fault.ERROR_500, method=at.method, path=at.path, times=20))
        with pytest.raises(SpawnerError) as caught:
            spawner.list()
        port.clear()
        assert caught.value.cause.startswith("engine.")
        assert caught.value.message


def _explained(outcome: Outcome, *causes: str) -> None:
    assert outcome.state is JobState.FAILED
    assert outcome.cause in causes
    assert outcome.message
    assert outcome.hint


def _fails(bench: Bench, spawner: Spawner, spec: JobSpec, cause: str) -> str:
    """Spawn what cannot start: refused or failed, with the cause; returns the message."""
    try:
        spawner.spawn(spec)
    except SpawnFailed as error:
        assert error.cause == cause
        assert error.hint
        assert error.job_id == spec.job_id
        message = error.message
    else:
        outcome = spawner.wait(spec.job_id, timeout=PATIENCE)
        _explained(outcome, cause)
        message = outcome.message
    nothing_left(bench)
    return message
