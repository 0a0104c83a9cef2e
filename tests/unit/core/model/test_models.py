"""JobSpec and its parts as values: defaults, conversion, freezing, equality."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobSpec, Network, PullPolicy, Resources, Secret, SecretRef, Security
from spawnery.errors import InvalidSpec
from spawnery.model.names import check_job_id


def test_a_spec_without_anything_is_valid_and_unset():
    """Nothing but the job id is set when nothing is given."""
    spec = JobSpec()
    values = {a.name: getattr(spec, a.name) for a in attrs.fields(JobSpec) if a.name != "job_id"}
    assert {
        name: value for name, value in values.items() if value is not None and value != {}
    } == {}


def test_a_job_id_is_made_up_and_valid():
    """Two specs without job id get different valid ones."""
    one, two = JobSpec(), JobSpec()
    assert one.job_id != two.job_id
    assert check_job_id(one.job_id) == one.job_id


@pytest.mark.parametrize("kind", [JobSpec, Resources, Network])
def test_models_take_keywords_only(kind):
    """A positional argument is refused, so fields may be added in any order."""
    with pytest.raises(TypeError):
        kind("x")


def test_a_spec_is_frozen():
    """No field can be set after the spec was checked."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        JobSpec(image="a").image = "b"


def test_a_spec_keeps_its_own_copy_of_mappings():
    """Changing a mapping after it was given changes nothing, and the spec's cannot be changed."""
    env = {"A": "1"}
    spec = JobSpec(env=env)
    env["JOB_ID"] = "stolen"
    assert spec.env == {"A": "1"}
    with pytest.raises(TypeError):
        spec.env["B"] = "2"


def test_lists_become_tuples():
    """A list of arguments is taken as well as a tuple."""
    spec = JobSpec(command=["sh", "-c"], args=["echo hi"])
    assert (spec.command, spec.args) == (("sh", "-c"), ("echo hi",))
    assert spec == attrs.evolve(spec, command=("sh", "-c"))


def test_evolve_checks_again():
    """A changed copy is held to the same rules."""
    with pytest.raises(InvalidSpec, match="image"):
        attrs.evolve(JobSpec(image="a"), image="a b")


@pytest.mark.parametrize(
    ("field", "text", "member"),
    [
        ("pull_policy", "if-not-present", PullPolicy.IF_NOT_PRESENT),
        ("security", "restricted", Security.RESTRICTED),
    ],
)
def test_text_becomes_a_member(field, text, member):
    """Enumerations may be given as text."""
    assert getattr(JobSpec(**{field: text}), field) is member


def test_repr_of_a_spec_shows_no_secret():
    """A literal secret is in a spec, and not in what prints it."""
    spec = JobSpec(secrets={"TOKEN": SecretRef.literal("hunter2-hunter2")})
    assert "hunter2" not in repr(spec)
    assert "hunter2" not in str(spec)
    assert spec.secrets["TOKEN"].value == Secret("hunter2-hunter2")


@given(st.floats(min_value=0, max_value=1000), st.floats(min_value=0, max_value=1000))
def test_a_request_never_exceeds_its_limit(request_cpu, limit_cpu):
    """Requests above limits are refused, all others are taken."""
    request, limit = f"{request_cpu:.3f}", f"{limit_cpu:.3f}"
    if float(request) == 0 or float(limit) == 0:
        return
    if float(request) <= float(limit):
        assert Resources(cpu_request=request, cpu_limit=limit).cpu_request == request
    else:
        with pytest.raises(InvalidSpec, match="cpu_request") as caught:
            Resources(cpu_request=request, cpu_limit=limit)
        assert caught.value.field == "resources.cpu_request"
