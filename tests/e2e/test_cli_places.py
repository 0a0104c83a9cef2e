"""``spawnery places``: two engines with one state directory, and one that does not come back."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cli

LIMIT = 60.0


@pytest.fixture
def fake(cli: Cli, tmp_path: Path) -> Cli:
    """The command on a fake engine that is a file, with one job; it moves to another one."""
    cli.env["SPAWNER_TYPE"] = "fake"
    cli.env["SPAWNERY_FAKE_ENGINE"] = str(tmp_path / "first")
    cli.ok("spawn", "--job-id", "demo", "--image", "x", "--", "sleep:600")
    cli.env["SPAWNERY_FAKE_ENGINE"] = str(tmp_path / "second")
    return cli


def elsewhere(fake: Cli) -> str:
    """Return the name of the place where the job lives."""
    found: list[str] = [place["key"] for place in fake.json("places") if not place["here"]]
    assert len(found) == 1
    return found[0]


def test_places_are_listed(fake: Cli) -> None:
    """Each with its unfinished jobs, and which one is here."""
    places = {place["here"]: place for place in fake.json("places")}
    assert places[True]["unfinished"] == 0
    assert places[False]["unfinished"] == 1
    assert "first" in places[False]["place"]["endpoint"]
    first, second = fake.ok("places").splitlines()
    assert first.split("\t")[1:3] == ["here", "0"]
    assert second.split("\t")[:3] == [places[False]["key"], "", "1"]
    assert fake.ok("places", "-q").split() == [places[True]["key"], places[False]["key"]]


def test_a_job_of_another_place_is_left_alone(fake: Cli, tmp_path: Path) -> None:
    """It is not found here, the other place is named, and there it goes on."""
    done = fake("status", "demo")
    assert done.returncode == 125
    assert elsewhere(fake).encode() in done.stderr
    assert fake.json("ps", "-a") == []
    fake.ok("reap")
    there = {"SPAWNERY_FAKE_ENGINE": str(tmp_path / "first")}
    assert fake.json("status", "demo", env=there)["state"] == "RUNNING"


def test_a_place_is_given_up(fake: Cli, tmp_path: Path) -> None:
    """Its unfinished jobs are LOST with a cause of their own; what was asked for is printed."""
    key = elsewhere(fake)
    assert fake.ok("places", "--give-up", key, "--yes") == "demo\n"
    there = {"SPAWNERY_FAKE_ENGINE": str(tmp_path / "first")}
    status = fake.json("status", "demo", env=there)
    assert (status["state"], status["outcome"]["cause"]) == ("LOST", "lost.place")


def test_nobody_is_asked_without_a_terminal(fake: Cli) -> None:
    """A script needs --yes; nothing is given up."""
    done = fake("places", "--give-up", elsewhere(fake))
    assert done.returncode == 125
    assert b"--yes" in done.stderr
    assert [place["unfinished"] for place in fake.json("places") if not place["here"]] == [1]


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, [1]), (b"y\n", 0, [0])])
def test_a_person_is_asked(fake: Cli, answer: bytes, code: int, left: list[int]) -> None:
    """The answer counts."""
    ours, theirs = pty.openpty()
    process = fake.start("places", "--give-up", elsewhere(fake), stdin=theirs)
    os.close(theirs)
    os.write(ours, answer)
    _, err = process.communicate(timeout=LIMIT)
    os.close(ours)
    assert process.returncode == code
    assert b"1 unfinished jobs become LOST" in err
    assert [place["unfinished"] for place in fake.json("places") if not place["here"]] == left


@pytest.mark.parametrize("name", ["nowhere", None])
def test_only_another_place_can_be_given_up(fake: Cli, name: str | None) -> None:
    """Not one that does not exist, and not the one that is here."""
    here = next(place["key"] for place in fake.json("places") if place["here"])
    done = subprocess.run(
        fake.command("places", "--yes", "--give-up", name or here),
        env=fake.env,
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 125
    assert b"error: there is no place" in done.stderr
