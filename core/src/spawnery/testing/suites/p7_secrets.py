"""P7: secrets stay secret."""

from __future__ import annotations

import base64
import logging
import secrets as randomness
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spawnery.contract.hookspecs import hookimpl
from spawnery.errors import SpawnerError
from spawnery.model.job import JobSpec
from spawnery.model.outcome import JobEvent
from spawnery.model.secret import SecretRef
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import Suite, kept, log_of, need, nothing_left, until_ready
from spawnery.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench


class _Observer:
    """Keeps what observers are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    def job_event(self, event: JobEvent) -> None:
        """Keep it as text."""
        self.told.append(repr(event))


class Secrets(Suite):
    """A secret's value is in the job, and nowhere else."""

    @pytest.fixture
    def value(self) -> str:
        """Return a value that nothing else contains."""
        return f"kit-{randomness.token_hex(12)}"

    @promise("P7")
    def test_a_secret_shows_nowhere(
        self, bench: Bench, value: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not in reprs, plan, status, outcome, events, records, labels, listings or our log."""
        observer = _Observer()
        with (
            caplog.at_level(logging.DEBUG),
            bench.open(extensions=(observer,), KIT_OWN=value) as spawner,
        ):
            need(spawner, "field.secrets")
            spec = _spec(bench, spawner, "hidden", bench.commands.prints_env(code=3))
            shown = [repr(spec), repr(spawner.plan(spec)), repr(spawner.spawn(spec))]
            outcome = spawner.wait("hidden", timeout=PATIENCE)
            shown += [repr(outcome), repr(spawner.status("hidden")), repr(spawner.list())]
            shown += [repr(spawner.reap(dry_run=True)), repr(spawner.check())]
            raw = log_of(spawner, "hidden") if kept(spawner) else b""
        assert outcome.exit_code == 3
        for text in (*shown, *observer.told, caplog.text):
            _hidden(value, text)
        assert observer.told
        _not_in_records(bench, value)
        if raw:
            assert value.encode() in raw, "what a job prints is not altered in its log"

    @promise("P7")
    def test_the_tail_is_masked(self, bench: Bench, value: str) -> None:
        """The end of the log in an outcome has a mask in place of the secret."""
        with bench.open(KIT_OWN=value) as spawner:
            need(spawner, "field.secrets", "tail")
            spec = _spec(bench, spawner, "tail", bench.commands.prints_env(code=3))
            spawner.spawn(spec)
            outcome = spawner.wait("tail", timeout=PATIENCE)
        assert outcome.log_tail is not None
        assert "KIT_HIDDEN=" in outcome.log_tail
        _hidden(value, outcome.log_tail)

    @promise("P7")
    def test_the_tail_is_masked_elsewhere(self, bench: Bench, value: str) -> None:
        """A process that does not know the secret records no tail with it either."""
        with bench.open(KIT_OWN=value) as spawner:
            need(spawner, "field.secrets", "tail", "field.retention_seconds")
            # The caller is gone when the job ends.
            command = bench.commands.prints_env(code=3)
            spawner.spawn(_spec(bench, spawner, "else", command))
        with bench.open() as other:
            outcome = other.wait("else", timeout=PATIENCE)
            _hidden(value, repr(outcome))
            _hidden(value, repr(other.status("else")))
        _not_in_records(bench, value)

    @promise("P7")
    def test_a_secret_is_in_no_command_line(self, bench: Bench, value: str) -> None:
        """While the job runs, no process of this machine has the secret among its arguments."""
        with bench.open(KIT_OWN=value) as spawner:
            need(spawner, "field.secrets")
            spawner.spawn(_spec(bench, spawner, "argv", bench.commands.sleeps(600)))
            until_ready(spawner, "argv")
            lines = list(_command_lines())
            spawner.remove("argv", force=True)
        if not lines:
            pytest.skip("this system shows no command lines")
        for line in lines:
            _hidden(value, line.decode("latin-1"), where=" in a command line")

    @promise("P7")
    def test_a_secret_is_in_no_error(
        self, bench: Bench, value: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A start that fails says why without the secret, in its traceback too."""
        with caplog.at_level(logging.DEBUG), bench.open(KIT_OWN=value) as spawner:
            need(spawner, "field.secrets")
            spec = _spec(bench, spawner, "wrong", bench.commands.is_not_there())
            try:
                spawner.spawn(spec)
                shown = repr(spawner.wait("wrong", timeout=PATIENCE))
            except SpawnerError as error:
                shown = "".join(traceback.format_exception(error))
            spawner.remove("wrong") if spawner.records.get("wrong") else None
        _hidden(value, shown)
        _hidden(value, caplog.text)
        _not_in_records(bench, value)
        nothing_left(bench)

    @promise("P7")
    def test_a_literal_is_hidden_too(self, bench: Bench, value: str) -> None:
        """A secret that is given as a value prints no more than the others."""
        with bench.open() as spawner:
            need(spawner, "field.secrets")
            secrets = {"KIT_HIDDEN": SecretRef.literal(value)}
            spec = bench.spec(bench.commands.exits(0), job_id="literal", secrets=secrets)
            shown = [repr(spec), repr(spawner.plan(spec)), repr(spawner.spawn(spec))]
            shown.append(repr(spawner.wait("literal", timeout=PATIENCE)))
        _hidden(value, "".join(shown))
        _not_in_records(bench, value)


def _spec(bench: Bench, spawner: Spawner, job_id: str, command: tuple[str, ...]) -> JobSpec:
    secrets = {"KIT_HIDDEN": SecretRef.environment("KIT_OWN")}
    return bench.spec(command, job_id=job_id, secrets=secrets, **kept(spawner))


def _forms(value: str) -> Iterator[str]:
    """Yield how a value may be written: as it is, in hexadecimal, in Base64 at any offset."""
    yield value
    yield value.encode().hex()
    for before in range(3):
        text = base64.b64encode(b"-" * before + value.encode()).decode()
        # The first and the last group also depend on what stands around the value.
        yield text[4 if before else 0 : -4]


def _hidden(value: str, text: str, *, where: str = "") -> None:
    for form in _forms(value):
        assert form not in text, f"the secret shows{where}"


def _not_in_records(bench: Bench, value: str) -> None:
    for file in bench.state_dir.glob("*"):
        if file.is_file():
            _hidden(value, file.read_bytes().decode("latin-1"), where=f" in {file.name}")


def _command_lines() -> Iterator[bytes]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes()
        except OSError:
            continue
