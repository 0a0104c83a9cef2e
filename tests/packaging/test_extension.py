"""The example's extensions, from a real wheel: loaded where named, in that order, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from builds import CORE, ROOT, Environment, Workshop
from wheels import make_wheel

EXAMPLE = ROOT / "examples" / "extension"
OTHER_TRACE = """
from spawnery import hookimpl

class Fixed:
    @hookimpl
    def build_env(self, job):
        return {"TRACEPARENT": "fixed"}

EXTENSION = Fixed()
"""
OPEN = """
import json, sys
from spawnery import JobSpec, Spawner
from spawnery.errors import SpawnerError
"""
PLAN = (
    OPEN
    + """
with Spawner.open("fake") as spawner:
    try:
        print(spawner.plan(JobSpec(job_id="j1", image=IMAGE)).env.get("TRACEPARENT"))
    except SpawnerError as error:
        print(error.cause, error.message, error.hint, sep="|")
"""
)
COUNT = (
    OPEN
    + """
with Spawner.open("local") as spawner:
    for number in range(2):
        spec = JobSpec(job_id=f"j{number}", command=("sh", "-c", f"exit {number}"))
        spawner.wait(spawner.spawn(spec).job_id, timeout=60)
from spawnery_policies.count import EXTENSION
print(EXTENSION.counts["SUCCEEDED"], EXTENSION.counts["FAILED"], EXTENSION.counts["finished"])
"""
)
LOADED = OPEN + 'Spawner.open("fake").close(); print("spawnery_policies.trace" in sys.modules)\n'


@pytest.fixture(scope="session")
def place(workshop: Workshop) -> Environment:
    """Core, the example, and another extension that sets the same variable as one of its own."""
    other = make_wheel(
        workshop.folder("wheels"),
        "other-trace",
        modules={"other_trace.py": OTHER_TRACE},
        entry_points={"spawnery.plugins": {"other-trace": "other_trace:EXTENSION"}},
    )
    return workshop.environment(workshop.build(CORE).wheel, workshop.build(EXAMPLE).wheel, other)


def plan(place: Environment, home: Path, image: str = "python:3.11-slim", **more: str) -> str:
    """Plan a job and print its trace, or the refusal."""
    allowed = {"POLICY_ALLOWED_IMAGES": "python:3.*, registry.example/agents/*"}
    return place.python(PLAN.replace("IMAGE", repr(image)), home, **(allowed | more)).strip()


def test_an_image_off_the_list_is_refused_in_words(place: Environment, tmp_path: Path) -> None:
    """The refusal names the image, what is allowed, and the variable to ask for."""
    cause, message, hint = plan(place, tmp_path, "ubuntu", SPAWNER_PLUGINS="allow-images").split(
        "|"
    )
    assert cause == "job.refused"
    assert message == (
        "image: ubuntu is not allowed here; allowed: python:3.*, registry.example/agents/*"
    )
    assert "POLICY_ALLOWED_IMAGES" in hint


def test_an_image_on_the_list_passes_and_is_traced(place: Environment, tmp_path: Path) -> None:
    """An allowed job gets its trace id, the same one each time, under our own trace if any."""
    plugins = "allow-images,trace"
    first = plan(place, tmp_path, SPAWNER_PLUGINS=plugins)
    version, trace, parent, flags = first.split("-")
    assert (version, len(trace), len(parent), flags) == ("00", 32, 16, "01")
    assert plan(place, tmp_path, SPAWNER_PLUGINS=plugins) == first
    ours = f"00-{'a' * 32}-{'b' * 16}-00"
    under = plan(place, tmp_path, SPAWNER_PLUGINS=plugins, TRACEPARENT=ours)
    assert under == f"00-{'a' * 32}-{parent}-00"


@pytest.mark.parametrize(
    ("plugins", "first"), [("other-trace,trace", True), ("trace,other-trace", False)]
)
def test_who_is_named_first_keeps_the_variable(
    place: Environment, tmp_path: Path, plugins: str, first: bool
) -> None:
    """Of two extensions that set one variable, the one that SPAWNER_PLUGINS names first wins."""
    assert (plan(place, tmp_path, SPAWNER_PLUGINS=plugins) == "fixed") is first


def test_what_is_not_named_is_not_imported(place: Environment, tmp_path: Path) -> None:
    """Installing an extension changes nothing until SPAWNER_PLUGINS names it."""
    assert place.python(LOADED, tmp_path).strip() == "False"
    assert place.python(LOADED, tmp_path, SPAWNER_PLUGINS="trace").strip() == "True"


def test_the_observer_counts_each_end_once(place: Environment, tmp_path: Path) -> None:
    """Two jobs, one of them failed, are two ends in the counter."""
    assert place.python(COUNT, tmp_path, SPAWNER_PLUGINS="count").split() == ["1", "1", "2"]
