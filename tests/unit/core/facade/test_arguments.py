"""Verbs that are called with the wrong thing: one error of ours that names the argument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from spawnery import AsyncSpawner, Spawner
from spawnery.errors import InvalidSpec

if TYPE_CHECKING:
    from conftest import Fake

NO_ZONE = datetime(2026, 1, 1)  # noqa: DTZ001 - that is the point
NO_ID = [None, 5, b"a", ["a"], {}, "", "A", "a" * 60]
WITH_ID: dict[str, Callable[[Any, Any], Any]] = {
    "status": lambda spawner, job_id: spawner.status(job_id),
    "wait": lambda spawner, job_id: spawner.wait(job_id, 1),
    "on_end": lambda spawner, job_id: spawner.on_end(job_id, print),
    "logs": lambda spawner, job_id: spawner.logs(job_id),
    "stop": lambda spawner, job_id: spawner.stop(job_id),
    "remove": lambda spawner, job_id: spawner.remove(job_id),
}
OTHERS: dict[str, tuple[str, Callable[[Any, Any], Any], list[Any]]] = {
    "spawn": ("spec", lambda s, value: s.spawn(value), [None, {"command": ["x"]}, "x"]),
    "plan": ("spec", lambda s, value: s.plan(value), [None, {}]),
    "check": ("spec", lambda s, value: s.check(probe_spec=value), [{}, "x"]),
    "wait": ("timeout", lambda s, value: s.wait("a", value), ["5", -1, float("nan"), True]),
    "stop": ("grace_seconds", lambda s, value: s.stop("a", grace_seconds=value), ["5", -1]),
    "cursor": ("cursor", lambda s, value: s.logs("a", cursor=value), [5, b"x"]),
    "since": ("since", lambda s, value: s.logs("a", since=value), ["10m", NO_ZONE]),
    "tail": ("tail_bytes", lambda s, value: s.logs("a", tail_bytes=value), [-1, "5", None, 1.5]),
}


@pytest.fixture
def spawner(fake: Callable[..., Fake]) -> Spawner:
    """A spawner with one job."""
    case = fake()
    case.spawn("sleep:600", job_id="a")
    return case.spawner


@pytest.mark.parametrize("job_id", NO_ID, ids=repr)
@pytest.mark.parametrize("verb", WITH_ID)
def test_what_is_no_job_id(spawner: Spawner, verb: str, job_id: object) -> None:
    """``status(None)`` is an InvalidSpec of the field job_id, as with every verb."""
    with pytest.raises(InvalidSpec) as caught:
        WITH_ID[verb](spawner, job_id)
    assert caught.value.field == "job_id"


CASES = [(name, value) for name, (_, _, values) in OTHERS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES, ids=lambda value: repr(value)[:20])
def test_other_arguments(spawner: Spawner, name: str, value: object) -> None:
    """Specs, seconds and places in a log are looked at too, before anything happens."""
    field, call, _ = OTHERS[name]
    with pytest.raises(InvalidSpec, match=f"^{field}: must be ") as caught:
        call(spawner, value)
    assert caught.value.field == field
    assert [status.job_id for status in spawner.list()] == ["a"]


def test_the_same_for_asyncio(tmp_path: Path) -> None:
    """The other facade refuses the same."""

    async def story() -> None:
        environ = {"SPAWNERY_STATE_DIR": str(tmp_path)}
        async with await AsyncSpawner.open("fake", environ=environ) as spawner:
            with pytest.raises(InvalidSpec):
                await spawner.status(None)  # type: ignore[arg-type]
            with pytest.raises(InvalidSpec):
                await spawner.wait("a", "5")  # type: ignore[arg-type]
            with pytest.raises(InvalidSpec):
                await spawner.spawn({})  # type: ignore[arg-type]

    asyncio.run(story())


def test_a_wrong_argument_is_not_printed(spawner: Spawner) -> None:
    """What was given by mistake may be a secret."""
    with pytest.raises(InvalidSpec) as caught:
        spawner.spawn("hunter2-and-more")  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)
