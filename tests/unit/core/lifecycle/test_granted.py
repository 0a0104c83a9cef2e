"""What an engine turned out to lack is taken away from what its spawner declares."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from spawnery import JobSpec, Resources, Spawner
from spawnery.contract import HookContext, Place, hookimpl
from spawnery.errors import Unsupported
from spawnery.lifecycle.preparation.capabilities import Granted
from spawnery.records.memory import MemoryRecords
from spawnery.records.placement import Placement
from spawnery.testing.fake import FakeEngine, FakeSpawner, declare

WHY = "it was built without device requests"
GPUS = "field.resources.gpus"
HERE = Place(endpoint="fake://here", id="one")


class Poor(FakeSpawner):
    """A fake whose engine turns out to have no GPUs, at the first contact."""

    places: list[Place | Exception]
    calls = 0
    taken = (GPUS,)

    @hookimpl
    def place(self) -> Place:
        """Learn what the engine lacks."""
        self.calls += 1
        found = self.places.pop(0) if self.places[1:] else self.places[0]
        if isinstance(found, Exception):
            raise found
        for capability in self.taken:
            self._runtime.lacks(capability, WHY)
        return found


@pytest.fixture
def poor(tmp_path: Path) -> Iterator[Callable[..., tuple[Spawner, Poor]]]:
    """Open spawners whose engine lacks something."""
    opened: list[Spawner] = []

    def make(
        *places: Place | Exception,
        taken: tuple[str, ...] = (GPUS,),
        more: tuple[str, ...] = (),
        extensions: tuple[object, ...] = (),
        **environ: str,
    ) -> tuple[Spawner, Poor]:
        engine, made = FakeEngine(), []

        def create(settings: Any, runtime: Any) -> Poor:
            found = Poor(engine, settings, runtime)
            found.places, found.taken = list(places or (HERE,)), taken
            made.append(found)
            return found

        plain = declare(engine)
        capabilities = plain.capabilities | {"place", *more}
        spawner = Spawner.open(
            plugin=evolve(plain, capabilities=capabilities, create=create),
            records=MemoryRecords(),
            environ={"SPAWNERY_STATE_DIR": str(tmp_path / "state"), **environ},
            extensions=extensions,
        )
        opened.append(spawner)
        return spawner, made[0]

    yield make
    for spawner in opened:
        spawner.close()


def with_gpus(**fields: Any) -> JobSpec:
    """A job that asks for what the engine lacks."""
    return JobSpec(image="i", command=["exit:0"], resources=Resources(gpus=1), **fields)


@pytest.mark.parametrize("verb", ["spawn", "plan"])
def test_what_the_engine_lacks_is_refused_with_the_reason(poor, verb):
    """The first spawn or plan asks the engine before it decides, and says why it refuses."""
    spawner, fake = poor()
    with pytest.raises(Unsupported) as caught:
        getattr(spawner, verb)(with_gpus(job_id="gpu"))
    assert caught.value.field == "resources.gpus"
    assert WHY in caught.value.message
    assert "SPAWNERY_FAKE_IGNORE=resources.gpus" in (caught.value.hint or "")
    assert not fake.engine.objects()
    assert spawner.records.get("gpu") is None


def test_the_reduced_set_is_what_the_facade_shows(poor):
    """``Spawner.capabilities`` asks the engine; the declaration itself does not change."""
    spawner, _ = poor()
    assert GPUS not in spawner.capabilities
    assert GPUS in spawner.plugin.capabilities
    assert "field.image" in spawner.capabilities


def test_extensions_see_the_reduced_set(poor):
    """A hook's context has what is left."""
    seen: list[frozenset[str]] = []

    class Extension:
        """Notes what it may know."""

        @hookimpl
        def review_job(self, job: JobSpec, context: HookContext) -> None:
            """Note it."""
            seen.append(context.capabilities)

    spawner, _ = poor(extensions=(Extension(),))
    spawner.plan(JobSpec(image="i", command=["exit:0"]))
    assert GPUS not in seen[0]


def test_check_warns_of_each_with_its_reason(poor):
    """``check`` has one warning for each capability that the engine lacks."""
    spawner, _ = poor(taken=(GPUS, "oom"))
    found = {item.detail for item in spawner.check() if item.name == "capability"}
    assert found == {f"{GPUS} is lacking: {WHY}", f"oom is lacking: {WHY}"}
    assert all(item.level == "warning" for item in spawner.check() if item.name == "capability")


def test_the_operator_may_let_it_be_ignored(poor):
    """What the engine lacks can be ignored by the same setting as what is not declared."""
    spawner, _ = poor(SPAWNERY_FAKE_IGNORE="resources.gpus")
    assert spawner.plan(with_gpus()).ignored == ("resources.gpus",)


def test_retention_that_the_engine_turns_out_not_to_keep_is_ours(poor):
    """Upkeep removes ended jobs where the engine lacks what was declared."""
    spawner, fake = poor(taken=("retention.engine",), more=("retention.engine",))
    spawner.spawn(JobSpec(image="i", command=["exit:0"], job_id="kept", retention_seconds=0.05))
    spawner.wait("kept", timeout=30)
    gone = threading.Event()
    for _ in range(600):
        if not fake.engine.objects():
            return
        gone.wait(0.05)
    pytest.fail("the ended job was not removed")


def test_the_engine_is_asked_once(poor):
    """An engine that says its id is asked for it once, however many jobs there are."""
    spawner, fake = poor()
    for _ in range(3):
        spawner.plan(JobSpec(image="i", command=["exit:0"]))
    assert fake.calls == 1


def test_an_engine_without_an_id_is_asked_again_later(poor, monkeypatch):
    """An engine that did not answer is asked again after a while, not at every job."""
    spawner, fake = poor(Place(endpoint="fake://here"), HERE)
    spawner.plan(JobSpec(image="i", command=["exit:0"]))
    spawner.plan(JobSpec(image="i", command=["exit:0"]))
    assert fake.calls == 1
    monkeypatch.setattr("spawnery.records.placement.time.monotonic", lambda: float("inf"))
    spawner.plan(JobSpec(image="i", command=["exit:0"]))
    assert fake.calls == 2


def test_a_place_that_raises_changes_nothing(poor, caplog):
    """A spawner that breaks the contract of ``place`` keeps its jobs; the log says what it did."""
    spawner, _ = poor(RuntimeError("boom"))
    assert spawner.plan(JobSpec(image="i", command=["exit:0"]))
    assert GPUS in spawner.capabilities
    assert "boom" in caplog.text


def test_a_spawner_without_a_place_is_not_asked():
    """Where the capability is not declared, there is nothing to ask."""
    placement = Placement(MemoryRecords(), None)
    placement.contact()
    placement.renew()
    assert placement.key is None


def test_taking_away_what_was_never_declared_changes_nothing():
    """Only declared capabilities can be taken away, and the first reason stays."""
    granted = Granted(frozenset({"a", "b"}))
    granted.lacks("c", "never")
    granted.lacks("a", "first")
    granted.lacks("a", "second")
    assert granted.capabilities == {"b"}
    assert granted.lacking == {"a": "first"}
