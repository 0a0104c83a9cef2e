"""Jobs out of flags and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from spawnery.cli.app import App
from spawnery.cli.options import job_flags as jobflags
from spawnery.cli.options.job_spec import spec_of
from spawnery.errors import InvalidSpec
from spawnery.model import JobSpec, SecretRef, Security


def parse(
    *args: str, environ: dict[str, str] | None = None, retention: float | None = None
) -> JobSpec:
    """Return the spec that these arguments mean."""
    found: dict[str, Any] = {}

    @click.command(context_settings=jobflags.CONTEXT)
    @jobflags.job_flags
    def command(**flags: Any) -> None:
        found.update(flags)

    command.main(list(args), standalone_mode=False)
    assert set(found) == jobflags.NAMES
    return spec_of(App(environ or {}), found, retention_seconds=retention)


def refused(*args: str) -> click.BadParameter:
    """Return how these arguments are refused."""
    with pytest.raises(click.BadParameter) as caught:
        parse(*args)
    return caught.value


def test_every_field_has_its_flag() -> None:
    """Each flag sets the field of its name."""
    spec = parse(
        *("--job-id", "demo", "--image", "alpine:3.20", "-e", "A=1", "--secret", "TOKEN"),
        *("--memory-request", "64Mi", "--memory-limit", "128Mi", "--cpu-request", "100m"),
        *("--cpu-limit", "1", "--gpus", "1", "--ephemeral-storage", "1Gi", "--network", "net"),
        *("-l", "team=x", "-w", "/tmp", "-u", "1000:1000", "--deadline-seconds", "15m"),
        *("--start-deadline-seconds", "60", "--retention-seconds", "2m", "--pull-policy", "never"),
        *("--security", "baseline", "--option", "docker.init=true", "--", "echo", "-n", "hi"),
    )
    assert (spec.job_id, spec.image, spec.command) == ("demo", "alpine:3.20", ("echo", "-n", "hi"))
    assert spec.env == {"A": "1"}
    assert spec.secrets == {"TOKEN": SecretRef.environment("TOKEN")}
    assert spec.resources is not None
    assert (spec.resources.memory_request, spec.resources.memory_limit) == ("64Mi", "128Mi")
    assert (spec.resources.cpu_request, spec.resources.cpu_limit) == ("100m", "1")
    assert (spec.resources.gpus, spec.resources.ephemeral_storage) == (1, "1Gi")
    assert (spec.network, spec.labels) == ("net", {"team": "x"})
    assert (spec.workdir, spec.user) == ("/tmp", "1000:1000")
    assert (spec.deadline_seconds, spec.start_deadline_seconds) == (900, 60)
    assert (spec.retention_seconds, spec.pull_policy) == (120, "never")
    assert spec.security is Security.BASELINE
    assert spec.options == {"docker": {"init": True}}


def test_what_is_not_given_is_unset() -> None:
    """Unset is None, so that the engine's defaults hold and nothing is refused for it."""
    spec = parse("true")
    assert spec.command == ("true",)
    assert spec.image is spec.resources is spec.args is spec.security is spec.retention_seconds
    assert spec.image is None
    assert not spec.env
    assert not spec.options


def test_the_command_begins_at_the_first_word() -> None:
    """Options behind the command belong to the job."""
    assert parse("ls", "-l", "--image", "x").command == ("ls", "-l", "--image", "x")


def test_retention_is_that_of_the_verb_unless_set() -> None:
    """Zero given by a person is not overridden."""
    assert parse("true", retention=900).retention_seconds == 900
    assert parse("--retention-seconds", "0", "true", retention=900).retention_seconds == 0


def test_env_without_value_forwards_ours() -> None:
    """A variable that is not set is left out, as docker does."""
    spec = parse("-e", "HERE", "-e", "MISSING", "-e", "EMPTY=", environ={"HERE": "x"})
    assert spec.env == {"HERE": "x", "EMPTY": ""}


def test_env_files_come_before_env(tmp_path: Path) -> None:
    """Comments and empty lines are skipped, --env wins."""
    file = tmp_path / "vars.env"
    file.write_text("# comment\n\nA=1\nB=two words\nHERE\n")
    spec = parse("--env-file", str(file), "-e", "A=2", environ={"HERE": "x"})
    assert spec.env == {"A": "2", "B": "two words", "HERE": "x"}


@pytest.mark.parametrize("line", ["1A=b", "B AD=x", "export C", "JOB_ID=me", "D=\0"])
def test_a_bad_line_of_an_env_file_is_named(tmp_path: Path, line: str) -> None:
    """With file and number, and nothing of its value."""
    file = tmp_path / "some.env"
    file.write_text(f"# a comment\nA=1\n\n{line}\n")
    with pytest.raises(InvalidSpec) as caught:
        parse("--env-file", str(file))
    assert caught.value.message.startswith(f"{file} line 4: env")
    assert caught.value.field is not None


def test_an_env_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The refusal has the path and the reason."""
    error = refused("--env-file", str(tmp_path / "none"))
    assert "none" in error.format_message()
    assert "No such file" in error.format_message()


@pytest.mark.parametrize(
    ("text", "name", "ref"),
    [
        ("T", "T", SecretRef.environment("T")),
        ("T?", "T", SecretRef.environment("T", optional=True)),
        ("T=env:OTHER", "T", SecretRef.environment("OTHER")),
        ("T=env:OTHER?", "T", SecretRef.environment("OTHER", optional=True)),
        ("T=file:/run/t", "T", SecretRef.file("/run/t")),
        ("T=engine:vault/key", "T", SecretRef.engine("vault", "key")),
    ],
)
def test_a_secret_says_where_its_value_is(text: str, name: str, ref: SecretRef) -> None:
    """Three places are known, and a question mark makes it optional."""
    assert parse("--secret", text).secrets == {name: ref}


@pytest.mark.parametrize(
    "value", ["hunter2-long", "http:hunter2-long", "engine:hunter2-long", "env:"]
)
def test_a_secret_value_on_the_command_line_is_refused_unseen(value: str) -> None:
    """The refusal says why, and does not repeat the value."""
    message = refused("--secret", f"PASSWORD={value}").format_message()
    assert "PASSWORD" in message
    assert "other users see command lines" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("true", True), ("64m", "64m"), ('{"a": [1]}', {"a": [1]}), ('"5"', "5"), ("", "")],
)
def test_an_option_is_json_or_text(text: str, value: object) -> None:
    """What is no JSON is taken as text."""
    assert parse("--option", f"docker.key={text}").options == {"docker": {"key": value}}


@pytest.mark.parametrize("text", ["init=true", "docker.init", ".x=1", "docker.=1"])
def test_an_option_needs_engine_and_key(text: str) -> None:
    """The refusal shows the form."""
    assert "ENGINE.KEY=VALUE" in refused("--option", text).format_message()


def test_an_option_that_begins_as_json_must_be_json() -> None:
    """A typing error in JSON is not passed on as text."""
    assert "not valid JSON" in refused("--option", 'docker.x={"a": }').format_message()


def test_a_refused_field_is_named() -> None:
    """The model's own checks hold for flags as well."""
    with pytest.raises(InvalidSpec) as caught:
        parse("--memory-limit", "much")
    assert caught.value.field == "resources.memory_limit"


def test_a_name_is_plain_or_secret_but_not_both() -> None:
    """Given both ways on one command line, it is refused."""
    with pytest.raises(InvalidSpec, match="env and in secrets"):
        parse("-e", "A=1", "--secret", "A")


FILE = """
job_id: from-file
command: [sh, -c]
args: [echo hi]
env: {A: "1", B: "2"}
secrets: {S: {environment: MINE}}
labels: {team: x}
resources: {memory_limit: 1Gi, cpu_limit: "1"}
options: {docker: {init: true}, kubernetes: {x: 1}}
retention_seconds: 5
"""


@pytest.fixture(name="job_file")
def _job_file(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(FILE)
    return str(path)


def test_a_job_file_alone_is_the_job(job_file: str) -> None:
    """Without flags nothing of the file changes."""
    spec = parse("-f", job_file, retention=900)
    assert (spec.job_id, spec.command, spec.args) == ("from-file", ("sh", "-c"), ("echo hi",))
    assert spec.retention_seconds == 5
    assert spec.secrets == {"S": SecretRef.environment("MINE")}


def test_flags_win_over_the_file_field_by_field(job_file: str) -> None:
    """Mappings are merged key by key; the rest stays."""
    spec = parse(
        *("-f", job_file, "--job-id", "mine", "-e", "B=3", "-e", "S=plain", "--secret", "A"),
        *("-l", "tier=y", "--cpu-limit", "2", "--option", "docker.init=false", "true"),
    )
    assert (spec.job_id, spec.command, spec.args) == ("mine", ("true",), None)
    assert spec.env == {"B": "3", "S": "plain"}
    assert spec.secrets == {"A": SecretRef.environment("A")}
    assert spec.labels == {"team": "x", "tier": "y"}
    assert spec.resources is not None
    assert (spec.resources.memory_limit, spec.resources.cpu_limit) == ("1Gi", "2")
    assert spec.options == {"docker": {"init": False}, "kubernetes": {"x": 1}}


def test_args_replace_those_of_the_file(job_file: str) -> None:
    """--arg keeps the file's command."""
    spec = parse("-f", job_file, "--arg", "echo", "--arg", "-n")
    assert (spec.command, spec.args) == (("sh", "-c"), ("echo", "-n"))
