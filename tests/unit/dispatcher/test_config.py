"""dispatcher.toml: each refusal names file, line and key, or the variable."""

from __future__ import annotations

import pytest
from spawnery.errors import ConfigurationError
from spawnery.model import Resources, Security
from spawnery_dispatcher import configfile
from spawnery_dispatcher.config import Intake

GOOD = (
    """
instance = "team"
default_project = "demo"
[redis]
url = "redis://redis:6379/0"
[slack]
intake = "events"
channels = ["C1"]
[limits]
per_user = 3
[api_keys.ci]
sha256 = "{hash}"
[projects.demo]
image = "agent:1"
args = ["run", "--job-id", "{{job_id}}", "{{text}}"]
resources = {{ memory_limit = "1Gi" }}
security = "baseline"
deadline_seconds = 900
""".replace("{hash}", "a" * 64)
    .replace("{{", "{")
    .replace("}}", "}")
)


def write(tmp_path, text):
    path = tmp_path / "dispatcher.toml"
    path.write_text(text)
    return str(path)


def test_a_whole_file(tmp_path):
    """Every kind of value arrives as its type."""
    config = configfile.load({}, path=write(tmp_path, GOOD))
    demo = config.projects["demo"]
    assert config.instance == "team"
    assert config.slack.intake is Intake.EVENTS
    assert config.limits.per_user == 3
    assert demo.resources == Resources(memory_limit="1Gi")
    assert demo.security is Security.BASELINE
    assert "a" * 64 not in repr(config)


def test_no_file_and_no_variable():
    """Without anything there are defaults, and no project."""
    config = configfile.load({}, path=None)
    assert config.projects == {}
    assert config.redis.url == "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("line", "number", "words"),
    [
        ("[limts]", 2, ("limts", "limits")),
        ("[limits]\nper_usr = 1", 3, ("limits.per_usr", "per_user")),
        ("[limits]\nper_user = 0", 3, ("limits.per_user", "at least 1")),
        ('[limits]\nper_user = "many"', 3, ("limits.per_user", "number")),
        ('[slack]\nintake = "fax"', 3, ("slack.intake", "socket")),
        ('[projects.demo]\nargs = ["{jobid}"]', 3, ("{jobid}", "{job_id}")),
        ('[projects.demo]\nsecurity = "lax"', 3, ("security", "restricted")),
        ('[api_keys.ci]\nsha256 = "abc"', 3, ("sha256", "64 hex digits")),
        ('default_project = "nowhere"', 2, ("default_project", "nowhere")),
        ("[projects.Bad_Name]", 2, ("Bad_Name", "lower-case")),
        ('log_level = "loud"', 2, ("log_level", "debug")),
        ("[limits", 2, ("TOML",)),
    ],
)
def test_typos(tmp_path, line, number, words):
    """A typo is answered with file, line, key, and what is allowed."""
    path = write(tmp_path, f"\n{line}\n")
    with pytest.raises(ConfigurationError) as caught:
        configfile.load({}, path=path)
    assert f"{path} line {number}" in caught.value.message
    for word in words:
        assert word in str(caught.value)


def test_every_setting_has_a_variable(tmp_path):
    """The environment wins over the file, also for a project's keys."""
    environ = {
        "DISPATCHER_LIMITS_PER_USER": "7",
        "DISPATCHER_PROJECTS_DEMO_IMAGE": "agent:2",
        "DISPATCHER_SLACK_CHANNELS": '["C2", "C3"]',
        "REDIS_URL": "redis://elsewhere:6379/1",
    }
    config = configfile.load(environ, path=write(tmp_path, GOOD))
    assert config.limits.per_user == 7
    assert config.projects["demo"].image == "agent:2"
    assert config.slack.channels == ("C2", "C3")
    assert config.redis.url == "redis://elsewhere:6379/1"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DISPATCHER_LIMITS_PER_USR", "7", "DISPATCHER_LIMITS_PER_USER"),
        ("DISPATCHER_LIMITS_PER_USER", "0", "DISPATCHER_LIMITS_PER_USER: limits.per_user"),
        ("DISPATCHER_PROJECTS_OTHER_IMAGE", "x", "DISPATCHER_PROJECTS_DEMO_IMAGE"),
    ],
)
def test_variables_that_are_wrong(tmp_path, name, value, words):
    """An unknown variable is answered with the near miss, a bad value with its name."""
    with pytest.raises(ConfigurationError) as caught:
        configfile.load({name: value}, path=write(tmp_path, GOOD))
    assert words in str(caught.value)


def test_what_kubernetes_injects_is_no_setting(tmp_path):
    """A Service called dispatcher makes variables that are none of ours."""
    environ = {"DISPATCHER_SERVICE_HOST": "10.0.0.1", "DISPATCHER_PORT": "tcp://10.0.0.1:80"}
    assert configfile.load(environ, path=write(tmp_path, GOOD)).instance == "team"


def test_a_file_that_is_not_there(tmp_path):
    """It is named, with the way out."""
    with pytest.raises(ConfigurationError, match=r"nothing\.toml cannot be read"):
        configfile.load({}, path=str(tmp_path / "nothing.toml"))
