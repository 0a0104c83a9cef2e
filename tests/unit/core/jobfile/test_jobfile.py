"""Job files in YAML, JSON and TOML, and their JSON Schema."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery.errors import InvalidSpec
from spawnery.jobfile import reader as jobfile
from spawnery.jobfile.json import spec_from_json
from spawnery.model import JobSpec, Resources, SecretRef
from spawnery.model import duration as durations

ROOT = Path(__file__).parents[4]
SCHEMA = jsonschema.Draft202012Validator(jobfile.json_schema())

YAML = """\
# A job.
job_id: demo
image: alpine:3.20
command: [sh, -c]
args:
  - echo hi
env:
  A: "1"
secrets:
  TOKEN: {environment: MY_TOKEN, optional: true}
  KEY: {engine: {name: keys, key: main}}
resources:
  cpu_limit: 1.5
  memory_limit: 512Mi
labels: {example.com/team: x}
deadline_seconds: 1h30m
retention_seconds: 0
options:
  docker: {init: true}
"""
TOML = """\
job_id = "demo"
image = "alpine:3.20"
command = ["sh", "-c"]
args = ["echo hi"]
deadline_seconds = "1h30m"
retention_seconds = 0
labels = { "example.com/team" = "x" }
[env]
A = "1"
[secrets]
TOKEN = { environment = "MY_TOKEN", optional = true }
[secrets.KEY.engine]
name = "keys"
key = "main"
[resources]
cpu_limit = 1.5
memory_limit = "512Mi"
[options.docker]
init = true
"""
SPEC = JobSpec(
    job_id="demo",
    image="alpine:3.20",
    command=("sh", "-c"),
    args=("echo hi",),
    env={"A": "1"},
    secrets={
        "TOKEN": SecretRef.environment("MY_TOKEN", optional=True),
        "KEY": SecretRef.engine("keys", "main"),
    },
    resources=Resources(cpu_limit="1.5", memory_limit="512Mi"),
    labels={"example.com/team": "x"},
    deadline_seconds=5400,
    retention_seconds=0,
    options={"docker": {"init": True}},
)
AS_JSON = json.dumps(
    {
        "$schema": "job.schema.json",
        "job_id": "demo",
        "image": "alpine:3.20",
        "command": ["sh", "-c"],
        "args": ["echo hi"],
        "env": {"A": "1"},
        "secrets": {
            "TOKEN": {"environment": "MY_TOKEN", "optional": True},
            "KEY": {"engine": {"name": "keys", "key": "main"}},
        },
        "resources": {"cpu_limit": 1.5, "memory_limit": "512Mi"},
        "labels": {"example.com/team": "x"},
        "deadline_seconds": "1h30m",
        "retention_seconds": 0,
        "options": {"docker": {"init": True}},
    },
    indent="\t",
)


def refused(text: str | bytes, kind: str | None = None) -> InvalidSpec:
    """Return how a job file is refused."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InvalidSpec) as caught:
        jobfile.parse(data, name="job", kind=kind)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text"),
    [("j.yaml", YAML), ("j.yml", YAML), ("j.YAML", YAML), ("j.json", AS_JSON), ("j.toml", TOML)],
)
def test_the_three_formats_mean_the_same(tmp_path: Path, name: str, text: str) -> None:
    """One job, whatever it is written in; the end of the name tells the format."""
    (tmp_path / name).write_text(text)
    assert jobfile.load(tmp_path / name) == SPEC


@pytest.mark.parametrize("text", [YAML, AS_JSON, "\ufeff" + YAML])
def test_stdin_is_yaml_or_json(text: str) -> None:
    """Without a name, a brace at the beginning makes it JSON; a byte order mark is no harm."""
    assert jobfile.parse(text.encode(), name="stdin") == SPEC


@pytest.mark.parametrize(
    ("kind", "text", "line", "field", "words"),
    [
        (".yaml", "image: a\nimge: b\n", 2, "imge", "did you mean image?"),
        (".yaml", "image: a\nenv:\n  A: yes\n", 3, "env.A", 'quote it: A: "yes"'),
        (".yaml", "env:\n  A: 012\n", 2, "env.A", 'quote it: A: "012"'),
        (".yaml", "env:\n  A:\n", 2, "env.A", 'quote it: A: ""'),
        (".yaml", "env:\n  NO: x\n", 1, "env", "quote the name"),
        (".yaml", "user: 1000:50\n", 1, "user", 'quote it: user: "1000:50"'),
        (".yaml", "image: 2020-01-01\n", 1, "image", 'quote it: image: "2020-01-01"'),
        (".yaml", "command:\n- sh\n- yes\n", 3, "command[1]", 'quote it: "yes"'),
        (".yaml", "# c\nresources:\n  cpu_limit: lots\n", 3, "resources.cpu_limit", "250m"),
        (".yaml", "labels:\n  a: b\n  example.com/b: x-\n", 3, "labels.example.com/b", "letter"),
        (".yaml", "secrets:\n  A:\n    environment: 1\n", 2, "secrets.A", "environment"),
        (".yaml", "image: a\ncommand: [a]\nimage: b\n", 3, "image", "first on line 1"),
        (".yaml", "options:\n  docker: {a: 2020-01-01}\n", 2, "options.docker.a", "a list"),
        (".json", '{"image": "a",\n\t"imge": "b"}', 2, "imge", "did you mean image?"),
        (".json", '{\n"env": {\n"A": 1}}', 3, "env.A", "quote it"),
        (".json", '{"image": "a",\n\t"image": "b"}', 2, "image", "first on line 1"),
        (".json", '{"env": {\n"A": "\\ud800"}}', 2, "env.A", "UTF-8"),
        (".toml", 'image = "a"\nimge = "b"\n', 2, "imge", "did you mean image?"),
        (".toml", '[env]\nB = "x"\nA = 1\n', 3, "env.A", "quote it"),
        (".toml", 'image = "a"\nresources = { cpu_limti = 1 }\n', 2, "resources.cpu_limti", "cpu_"),
        (".toml", "resources.gpus = 0\n", 1, "resources.gpus", "above 0"),
        (".toml", "[secrets]\nA = { literal = 1 }\n", 2, "secrets.A", "literal"),
        (".toml", 'command = ["a"]\n[options.docker]\nx = 2020-01-01\n', 3, "options.docker.x", ""),
    ],
)
def test_a_refusal_names_file_line_and_field(
    kind: str, text: str, line: int, field: str, words: str
) -> None:
    """And what to write instead."""
    error = refused(text, kind)
    assert error.message.startswith(f"job line {line}: {field}:"), error.message
    assert error.field == field
    assert words in str(error)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (".yaml", "a: [", "line 1: not valid YAML"),
        (".yaml", "image: a\n\tcommand: b", "line 2: not valid YAML"),
        (".yaml", "image: a\n---\nimage: b\n", "line 2: not valid YAML: but found another"),
        (".yaml", "image: !!python/object:os.system x", "line 1: not valid YAML"),
        (".yaml", "image: a\ncommand: \x01", "line 2: not valid YAML: the character U+0001"),
        (".yaml", "env:\n  ? [a]\n  : b", "line 2: not valid YAML"),
        (".yaml", "a: " + "[" * 5000, "nested too deeply"),
        (".yaml", "image: 2020-99-99", "a value cannot be read"),
        (".yaml", "a: &a [*a]", "nested too deeply"),
        (".yaml", "", "is empty"),
        (".yaml", "# nothing", "is empty"),
        (".yaml", "- a", "not a list"),
        (".json", '{"image":\n}', "line 2: not valid JSON"),
        (".json", '{"deadline_seconds": NaN}', "not valid JSON: NaN"),
        (".json", '{"deadline_seconds": ' + "9" * 5000 + "}", "a value cannot be read"),
        (".json", "[" * 100_000, "nested too deeply"),
        (".json", "[]", "not a list"),
        (".toml", "image =", "line 1: not valid TOML"),
        (".toml", "image = 'a'\nimage = 'b'", "line 2: not valid TOML"),
        (".toml", "a = " + "[" * 5000, "nested too deeply"),
        (".yaml", b"image: a\ncommand: [\xff]", "line 2: is not UTF-8"),
        (".yaml", b"#" * (jobfile.MAX_BYTES + 1), "has more than"),
    ],
)
def test_what_is_malformed_is_said_in_words(kind: str, text: str | bytes, words: str) -> None:
    """With the line, where the parser knows it."""
    assert words in refused(text, kind).message


def test_aliases_that_multiply_are_refused() -> None:
    """A small file that means billions of values does not bring us down."""
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)
    ]
    assert "too many values" in refused("\n".join(lines)).message


def test_a_secret_is_not_shown_by_a_refusal() -> None:
    """Not when it stands in the wrong place, and not in an error of the syntax."""
    for text in (
        "secrets:\n  TOKEN: hunter2-hunter2\n",
        "secrets:\n  TOKEN: {literal: hunter2-hunter2, optional: true}\n",
        "secrets:\n  TOKEN: {literal: [hunter2-hunter2]}\n",
        "secrets:\n  TOKEN: {literal: 'hunter2-hunter2}\n",
        "secrets:\n  TOKEN: {literal: hunter2-hunter2, environment: X}\n",
    ):
        assert "hunter2" not in str(refused(text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, or of no kind that we know: each is said."""
    (tmp_path / "folder.yaml").mkdir()
    for name, words in (
        ("missing.yaml", "No such file"),
        ("folder.yaml", "directory"),
        ("job.txt", ".yaml, .yml, .json, .toml"),
    ):
        with pytest.raises(InvalidSpec) as caught:
            jobfile.load(os.fspath(tmp_path / name))
        assert name in caught.value.message
        assert words in caught.value.message


@given(st.text(max_size=200), st.sampled_from([".yaml", ".json", ".toml"]))
def test_no_text_gets_another_error(text: str, kind: str) -> None:
    """Whatever a file holds, it is a job or an InvalidSpec."""
    data = text.encode("utf-8", "surrogatepass")
    with contextlib.suppress(InvalidSpec):
        assert isinstance(jobfile.parse(data, name="job", kind=kind), JobSpec)


def test_the_published_schema_is_current() -> None:
    """docs/job.schema.json is what the models say: `spawnery schema > docs/job.schema.json`."""
    published = json.loads((ROOT / "docs" / "job.schema.json").read_text())
    assert published == jobfile.json_schema()


def test_the_schema_is_one() -> None:
    """It is valid by its own dialect, and names and describes every field of the models."""
    schema = jobfile.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for kind, part in ((JobSpec, schema), (Resources, schema["$defs"]["resources"])):
        fields = {a.name for a in attrs.fields(kind)}
        assert part["properties"].keys() - {"$schema"} == fields
        assert all(part["properties"][name]["description"] for name in fields)


def _nested(outer: str, values: list[Any]) -> list[dict[str, Any]]:
    return [{outer: value} for value in values]


VALID: list[dict[str, Any]] = [
    {},
    {"image": None, "env": None, "resources": {"gpus": None}},
    *_nested("job_id", ["a", "0", "a-b", "a" * 52]),
    *_nested("image", ["a", "a:b", "a/b@sha256:x"]),
    *_nested("command", [["a"], ["a", ""]]),
    *_nested("args", [[], ["", "a\nb"]]),
    *_nested("env", [{}, {"A": ""}, {"_a1": "\n"}, {"JOB_IDS": "x"}]),
    *_nested("secrets", [{"A": {"environment": "B"}}, {"A": {"file": "b", "optional": True}}]),
    *_nested("secrets", [{"A": {"literal": ""}}, {"A": {"engine": {"name": "n", "key": "k"}}}]),
    *_nested("resources", [{}, {"cpu_limit": 1}, {"cpu_limit": 0.5}, {"cpu_request": "250m"}]),
    *_nested("resources", [{"memory_limit": "1.5Gi"}, {"memory_limit": "1e9"}, {"gpus": 1}]),
    *_nested("network", ["host", "a.b_c"]),
    *_nested("labels", [{"a": ""}, {"example.com/A_b": "x.y"}, {"a" * 63: "b" * 63}]),
    *_nested("workdir", ["/", "/a b"]),
    *_nested("user", ["1000", "1000:1000", "some body"]),
    *_nested("deadline_seconds", [1, 0.5, "15m", "1h30m", "90", "1.5h", "500ms"]),
    *_nested("retention_seconds", [0, "0", "2d"]),
    *_nested("pull_policy", ["always", "if-not-present", "never"]),
    *_nested("security", ["restricted", "baseline"]),
    *_nested("options", [{}, {"docker": {}}, {"docker": {"a": [1, None, {"b": True}]}}]),
]
INVALID: list[dict[str, Any]] = [
    {"imge": "x"},
    *_nested("job_id", ["", "A", "-a", "a-", "a_b", "a" * 53, 1]),
    *_nested("image", ["", " ", "a b", "-a", 1]),
    *_nested("command", [[], [""], [1], "a", {"a": 1}, ["a", None]]),
    *_nested("args", ["a", [True]]),
    *_nested("env", [{"1A": "x"}, {"A-B": "x"}, {"A": 1}, {"A": None}, {"": "x"}, []]),
    *_nested("env", [{"JOB_ID": "x"}, {"SPAWNERY_JOB_X": "x"}, {"A": "\0"}]),
    *_nested("secrets", [{"A": "b"}, {"A": {}}, {"A": {"environment": ""}}, {"A": {"env": "B"}}]),
    *_nested("secrets", [{"A": {"literal": "a", "optional": True}}, {"A": {"literal": None}}]),
    *_nested("secrets", [{"A": {"engine": "x"}}, {"A": {"engine": {"name": "n"}}}]),
    *_nested("secrets", [{"A": {"file": "b", "optional": "yes"}}, {"JOB_ID": {"file": "b"}}]),
    *_nested("secrets", [{"A": {"environment": "B", "file": "c"}}]),
    *_nested("resources", [{"cpu": 1}, {"cpu_limit": "x"}, {"cpu_limit": True}, {"cpu_limit": -1}]),
    *_nested(
        "resources", [{"memory_limit": "1GB"}, {"memory_limit": "1 Gi"}, {"gpus": 0}, [], "1"]
    ),
    *_nested("network", ["", "a b", "a/b", 1]),
    *_nested("labels", [{"a b": "x"}, {"a": 1}, {"a": "-"}, {"/a": "x"}, {"A_b/c": "x"}]),
    *_nested("labels", [{"spawnery.dev/x": "y"}, {"a": "b" * 64}, {"a" * 64: "b"}, {"a/": "x"}]),
    *_nested("workdir", ["", "a", "./a", 1]),
    *_nested("user", ["", ":", "a:", ":a", "a:b:c", 1000, " "]),
    *_nested("deadline_seconds", [0, -1, "", "soon", "15 m", "1h 30m", True, 31622401, [], "15M"]),
    *_nested("retention_seconds", [-1, "-1", "x"]),
    *_nested("pull_policy", ["Always", "", 1]),
    *_nested("security", ["none", True]),
    *_nested("options", [[], {"docker": 1}, {"docker": []}, {"": {}}]),
]


@pytest.mark.parametrize("data", VALID, ids=str)
def test_schema_and_loader_accept_the_same(data: dict[str, Any]) -> None:
    """What a checker with the schema lets through, the loader takes."""
    SCHEMA.validate(data)
    assert isinstance(spec_from_json(data), JobSpec)


@pytest.mark.parametrize("data", INVALID, ids=str)
def test_schema_and_loader_refuse_the_same(data: dict[str, Any]) -> None:
    """An editor with the schema underlines what the loader would refuse."""
    assert not SCHEMA.is_valid(data)
    with pytest.raises(InvalidSpec):
        spec_from_json(data)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0", 0), ("1.5", 1.5), ("1e3", 1000), ("500ms", 0.5), ("1d12h", 129600)],
)
def test_durations(text: str, seconds: float) -> None:
    """Seconds, or numbers with units."""
    assert durations.parse_duration(text, field="x") == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "1 h", "h", "-1", "1y", "nan", "inf", "1_0", "\u0663", "1M"]
)
def test_what_is_no_duration(text: str) -> None:
    """The error names the field and the forms."""
    with pytest.raises(InvalidSpec, match="deadline_seconds: must be seconds, or") as caught:
        durations.parse_duration(text, field="deadline_seconds")
    assert caught.value.field == "deadline_seconds"
