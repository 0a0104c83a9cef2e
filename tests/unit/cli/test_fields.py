"""The command line names options where the library names fields; nothing else is changed."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobSpec, JobState, Outcome
from spawnery.cli import failure
from spawnery.cli.app import App
from spawnery.cli.printing import ending, fields
from spawnery.errors import InvalidSpec
from spawnery.model import Resources

WITHOUT_OPTION = {"command", "resources"}


def test_every_field_has_its_option():
    """Those of the resources too; COMMAND is what stands behind the options."""
    names = {a.name for a in attrs.fields(JobSpec)} - WITHOUT_OPTION
    names |= {f"resources.{a.name}" for a in attrs.fields(Resources)}
    assert set(fields.options()) == names
    assert len(set(fields.options().values())) == len(names)
    assert all(option.startswith("--") for option in fields.options().values())


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("user=1000, or: security=baseline", "--user 1000, or: --security baseline"),
        ("keep it: retention_seconds=900", "keep it: --retention-seconds 900"),
        ("give it more: resources.memory_limit=2Gi", "give it more: --memory-limit 2Gi"),
        ("more time: deadline_seconds; or", "more time: --deadline-seconds; or"),
        ("resources.memory_limit, resources.cpu_limit", "--memory-limit, --cpu-limit"),
        ("without: options.docker.init=false", "without: --option docker.init=false"),
        ('options.docker.dns=["1.2.3.4"]', "--option 'docker.dns=[\"1.2.3.4\"]'"),
        ("(options.kubernetes.tolerations)", "(--option kubernetes.tolerations)"),
        ("first\npull_policy=never\nuser=3", "first\n--pull-policy never\n--user 3"),
        ("give it: env.HOME=/home/app", "give it: --env HOME=/home/app"),
        (
            "leave resources.gpus out: export SPAWNERY_X_IGNORE=resources.gpus",
            "leave --gpus out: export SPAWNERY_X_IGNORE=resources.gpus",
        ),
        ("gpus=1", "--gpus 1"),
        ("start_deadline_seconds=5", "--start-deadline-seconds 5"),
    ],
)
def test_hints(hint, shown):
    """A field with a value, and a name that is no plain word, are options."""
    assert fields.hint(App(), hint) == shown


@pytest.mark.parametrize(
    "text",
    [
        "export SPAWNERY_LOCAL_IGNORE=pull_policy,deadline_seconds",
        "the user of the image, its network and its security",
        "kubectl create secret generic NAME --from-literal=KEY=VALUE",
        "docker run --user 0 -v a:/b image:1",
        "spec.job_id, my_deadline_seconds, a-user=3, docker.network=jobs",
        "look at options.docker: volumes, tmpfs",
    ],
)
def test_what_is_no_field(text):
    """Commands, settings and plain words stay as they are."""
    assert fields.hint(App(), text) == text


@pytest.mark.parametrize(
    ("field", "message", "shown"),
    [
        ("image", "image: must not be empty, not ''", "--image: must not be empty, not ''"),
        ("env.A", "env.A: is reserved", "--env A: is reserved"),
        ("labels.a/b", "labels.a/b: is too long", "--label a/b: is too long"),
        ("options.docker.x", "options.docker.x: is unknown", "--option docker.x: is unknown"),
        ("command[0]", "command[0]: must not be empty", "command[0]: must not be empty"),
        (None, "exec: user=bob: not found", "exec: user=bob: not found"),
        (
            "resources.memory_request",
            "resources.memory_request: 3 is more than resources.memory_limit 2",
            "--memory-request: 3 is more than --memory-limit 2",
        ),
        (None, "stopped at deadline_seconds", "stopped at --deadline-seconds"),
    ],
)
def test_messages(field, message, shown):
    """Plain words are a field only where the message is about that field."""
    assert fields.message(App(), message, field) == shown


def test_a_job_file_has_fields():
    """Who wrote a file is told of the fields in it."""
    app = App()
    app.job_file = True
    assert fields.hint(app, "retention_seconds=900") == "retention_seconds=900"
    assert fields.message(app, "image: must", "image") == "image: must"


@given(st.text(max_size=60))
def test_no_field_no_change(text):
    """A text without the name of a field is never changed."""
    names = [name.removeprefix("resources.") for name in fields.options()]
    if not any(name in text for name in names):
        assert fields.hint(App(), text) == fields.message(App(), text) == text


@given(st.sampled_from(sorted(fields.options())), st.integers(min_value=0))
def test_each_field_in_a_hint(name, value):
    """Each field with a value becomes its option with that value, once."""
    if name == "options":
        return
    text = fields.hint(App(), f"try {name}={value}, then again")
    assert text == f"try {fields.options()[name]} {value}, then again"


def test_an_error_is_told_with_options(capsys):
    """Message and hint of an error, and our own advice behind them as it is."""
    app = App()
    app.advice = ["-- env user=3"]
    failure.tell_error(app, InvalidSpec("user: must be", field="user", hint="say user=1000"))
    assert capsys.readouterr().err == (
        "error: --user: must be\nhint: say --user 1000\nhint: -- env user=3\n"
    )


def test_json_keeps_the_fields(capsys):
    """A program reads the library's words."""
    app = App()
    app.json = True
    failure.tell_error(app, InvalidSpec("user: must be", field="user", hint="say user=1000"))
    said = capsys.readouterr().err
    assert '"user: must be"' in said
    assert '"say user=1000"' in said


def test_an_end_is_told_with_options(capsys):
    """The hint of an outcome too."""
    outcome = Outcome(state=JobState.FAILED, cause="oom", hint="resources.memory_limit=2Gi")
    ending.tell(App(), "demo", outcome)
    assert "hint: --memory-limit 2Gi\n" in capsys.readouterr().err
