"""P5: nothing ignored."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from spawnery.errors import InvalidSpec, Unsupported
from spawnery.model.job import Resources
from spawnery.model.secret import SecretRef
from spawnery.testing.promises import REFUSED_PROPERTY, promise
from spawnery.testing.suites.base import Suite, finished, kept, log_of, need

if TYPE_CHECKING:
    from collections.abc import Callable

    from spawnery.model.job import JobSpec
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench


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
"""Every field of a spec that a spawner may have or lack."""


def _planned(spawner: Spawner, spec: JobSpec) -> str:
    """Return the plan as text, without the hash of the spec: that differs for any field."""
    found = spawner.plan(spec)
    return repr(found.plan).replace(found.spec_hash, "HASH")


_each_field = pytest.mark.parametrize(
    "item", FIELDS, ids=[f"{item.name}-{item.capability}" for item in FIELDS]
)


def _may_be_ignored(item: Field, spawner: Spawner) -> bool:
    """Whether the spawner lacks a field without which the job is still worth running."""
    return item.capability not in spawner.capabilities and item.capability != "secrets.engine"


class Refusal(Suite):
    """What a spec asks for is done or refused."""

    @promise("P5")
    @_each_field
    def test_a_field_is_taken_or_refused(
        self,
        bench: Bench,
        spawner: Spawner,
        item: Field,
        record_property: Callable[[str, object], None],
    ) -> None:
        """A field that is declared shows in the plan; another one is refused by its name.

        What is the default anyway shows as the difference from its opposite, where there is one.
        """
        command = bench.commands.prints_args()
        spec = bench.spec(command, job_id="field", **item.given)
        if item.capability in spawner.capabilities:
            found = _planned(spawner, spec)
            if item.opposite is None or item.opposite.capability in spawner.capabilities:
                given = {} if item.opposite is None else item.opposite.given
                other = _planned(spawner, bench.spec(command, job_id="field", **given))
                assert found != other, f"{item.name} changes nothing in the plan"
            return
        record_property(REFUSED_PROPERTY, item.name)
        with pytest.raises(Unsupported) as caught:
            spawner.spawn(spec)
        assert caught.value.field == item.name
        assert item.name in caught.value.message
        assert caught.value.hint
        with pytest.raises(Unsupported):
            spawner.plan(spec)
        assert not bench.objects()
        assert spawner.records.get("field") is None

    @promise("P5")
    def test_the_operator_may_let_fields_be_ignored(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A field that is lacking and ignored by the operator's setting is warned about."""
        with bench.open() as spawner:
            lacking = [item for item in FIELDS if _may_be_ignored(item, spawner)]
        if not lacking:
            pytest.skip("the spawner lacks no field: there is nothing to ignore")
        names = ",".join({item.capability.removeprefix("field.") for item in lacking})
        variable = f"SPAWNERY_{bench.spawner_type.upper().replace('-', '_')}_IGNORE"
        opened = bench.open(**{variable: names})  # type: ignore[arg-type]
        with opened as spawner, caplog.at_level(logging.WARNING):
            for number, item in enumerate(lacking):
                spec = bench.spec(bench.commands.exits(0), job_id=f"ign-{number}", **item.given)
                assert item.name in spawner.plan(spec).ignored
                assert finished(spawner, spec).exit_code == 0
                assert item.name in caplog.text

    @promise("P5")
    def test_env_reaches_the_program(self, bench: Bench, spawner: Spawner) -> None:
        """The job's variables, JOB_ID and the texts of awkward values are all there."""
        need(spawner, "field.env", "logs", "logs.after_exit")
        env = {"KIT_PLAIN": "text", "KIT_AWKWARD": "a b=c '$HOME' \"q\" ü", "KIT_EMPTY": ""}
        command = bench.commands.prints_env()
        finished(spawner, bench.spec(command, job_id="env", env=env, **kept(spawner)))
        lines = log_of(spawner, "env").decode().splitlines()
        for key, value in {**env, "JOB_ID": "env"}.items():
            assert f"{key}={value}" in lines

    @promise("P5")
    def test_secrets_reach_the_program(
        self, bench: Bench, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Secrets from a file, from our environment and literal ones are all there."""
        from spawnery.model.secret import SecretRef  # noqa: PLC0415 - only here

        file = tmp_path_factory.mktemp("secret") / "value"
        file.write_text("of-a-file\n")
        secrets = {
            "KIT_FILE": SecretRef.file(file),
            "KIT_VARIABLE": SecretRef.environment("KIT_OWN"),
            "KIT_LITERAL": SecretRef.literal("of-a-literal"),
        }
        with bench.open(KIT_OWN="of-a-variable") as spawner:
            need(spawner, "field.secrets", "logs", "logs.after_exit")
            command = bench.commands.prints_env()
            finished(spawner, bench.spec(command, job_id="sec", secrets=secrets, **kept(spawner)))
            lines = log_of(spawner, "sec").decode().splitlines()
        for key in ("file", "variable", "literal"):
            assert f"KIT_{key.upper()}=of-a-{key}" in lines

    @promise("P5")
    def test_args_follow_the_command(self, bench: Bench, spawner: Spawner) -> None:
        """Arguments reach the program as they are, without a shell in between."""
        need(spawner, "field.args", "logs", "logs.after_exit")
        words = ("one", "two words", "$HOME", "*")
        command, args = bench.commands.prints_args(), bench.commands.args(*words)
        finished(spawner, bench.spec(command, job_id="args", args=args, **kept(spawner)))
        assert log_of(spawner, "args").decode().splitlines()[-len(words) :] == list(words)

    @promise("P5")
    def test_workdir_is_where_it_runs(self, bench: Bench, spawner: Spawner) -> None:
        """The program runs in its workdir."""
        need(spawner, "field.workdir", "logs", "logs.after_exit")
        spec = bench.spec(
            bench.commands.prints_workdir(),
            job_id="cwd",
            workdir="/tmp",
            **kept(spawner),
        )
        finished(spawner, spec)
        assert log_of(spawner, "cwd").decode().strip() == "/tmp"

    @promise("P5")
    def test_labels_come_back(self, bench: Bench, spawner: Spawner) -> None:
        """A job's labels are on its object, ours left out."""
        need(spawner, "field.labels")
        labels = {"kit.example/team": "a.b_c-d", "kit": ""}
        spawner.spawn(bench.spec(bench.commands.sleeps(600), job_id="lab", labels=labels))
        found = spawner.status("lab").labels
        spawner.stop("lab", grace_seconds=0)
        assert dict(found) == labels

    @promise("P5")
    def test_options_of_another_engine(self, bench: Bench, spawner: Spawner) -> None:
        """Options under another engine's name are allowed, and the plan shows them as unused."""
        options = {**bench.options, "another-engine": {"speed": "high"}}
        spec = bench.spec(bench.commands.exits(0), job_id="other", options=options)
        assert spawner.plan(spec).unused_options == ("options.another-engine.speed",)
        assert finished(spawner, spec).exit_code == 0

    @promise("P5")
    def test_an_unknown_option(self, bench: Bench, spawner: Spawner) -> None:
        """An option that the spawner does not know is refused by its name."""
        options = {spawner.name: {**bench.options.get(spawner.name, {}), "no_such_option": 1}}
        spec = bench.spec(bench.commands.exits(0), job_id="unknown", options=options)
        with pytest.raises(InvalidSpec) as caught:
            spawner.spawn(spec)
        assert "no_such_option" in (caught.value.field or "")
        assert not bench.objects()
        assert spawner.records.get("unknown") is None
