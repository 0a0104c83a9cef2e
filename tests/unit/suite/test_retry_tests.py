"""What a run of the tests means: which failures run again, and what is red."""

from __future__ import annotations

from pathlib import Path

import pytest
import retry_tests
from retry_tests import Failure, Run, read_run, reasons_after_retry, reasons_for_red, table

DOCKER = Failure(test="tests/a.py::test_a", engines=("docker",), error="TimeoutError: 5 s")
UNIT = Failure(test="tests/b.py::test_b", error="assert 1 == 2")


def engine_failures(count: int) -> tuple[Failure, ...]:
    """Return failures of so many engine tests."""
    return tuple(Failure(test=f"tests/a.py::test_{n}", engines=("redis",)) for n in range(count))


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (Run(exit_code=0), []),
        (Run(exit_code=1, failures=(DOCKER,)), []),
        (Run(exit_code=1, failures=engine_failures(10)), []),
        (Run(exit_code=1, failures=engine_failures(11)), ["11 tests failed, more than 10"]),
        (
            Run(exit_code=1, failures=(DOCKER, UNIT)),
            ["failed, and needs no engine: tests/b.py::test_b: assert 1 == 2"],
        ),
        (
            Run(exit_code=1, failures=(DOCKER,), died=("gw1: Not properly terminated",)),
            ["a worker died: gw1: Not properly terminated"],
        ),
        (Run(exit_code=-9, complete=False), ["pytest was cut off (exit code -9)"]),
        (Run(exit_code=2, failures=(DOCKER,)), ["pytest ended with exit code 2"]),
        (Run(exit_code=5), ["pytest ended with exit code 5"]),
        (Run(exit_code=1), ["pytest is red, though no test failed"]),
    ],
    ids=["green", "one", "ten", "eleven", "unit", "died", "cut", "interrupted", "none", "unknown"],
)
def test_the_first_run(first: Run, words: list[str]) -> None:
    """Only up to ten failures, all of engine tests, in a complete run are worth a retry."""
    assert reasons_for_red(first) == words


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (Run(exit_code=0, passed=1), []),
        (
            Run(exit_code=1, failures=(DOCKER,)),
            ["failed twice: tests/a.py::test_a: TimeoutError: 5 s"],
        ),
        (Run(exit_code=0, passed=0), ["0 of 1 passed in the second run"]),
        (Run(exit_code=4), ["the second run ended with exit code 4"]),
        (
            Run(exit_code=-11, complete=False),
            ["pytest was cut off in the second run (exit code -11)"],
        ),
    ],
    ids=["green", "again", "skipped", "usage", "cut"],
)
def test_the_second_run(second: Run, words: list[str]) -> None:
    """Every retried test has to pass: one that is skipped or never run is red."""
    assert reasons_after_retry(Run(exit_code=1, failures=(DOCKER,)), second) == words


def test_the_table() -> None:
    """It names test, engine and first error, one test a line."""
    other = Failure(test="t::k", engines=("kubernetes", "redis"), error="x" * 500)
    assert table([DOCKER, other]) == [
        "TEST                ENGINE            FIRST ERROR",
        "tests/a.py::test_a  docker            TimeoutError: 5 s",
        f"t::k                kubernetes,redis  {'x' * 120}",
    ]


def test_no_log_is_a_run_that_was_cut_off(tmp_path: Path) -> None:
    """A pytest that was killed leaves no file."""
    assert not read_run(0, tmp_path / "absent.json").complete


PROJECT = """
import os, pathlib, pytest
pytestmark = pytest.mark.engine("docker")
BEFORE = pathlib.Path(__file__).with_name("before")

def test_steady(): pass

@pytest.mark.parametrize("word", ["a b", "c[d]::e"])
def test_flaky(word):
    seen = BEFORE.exists() and word in BEFORE.read_text()
    with BEFORE.open("a") as file:
        file.write(word)
    assert seen, "only this time"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tests of its own, with the plugin that keeps failures."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = engine(name): an engine\n")
    monkeypatch.chdir(tmp_path)
    support = Path(retry_tests.__file__).parents[1] / "tests" / "support" / "suite"
    monkeypatch.setenv("PYTHONPATH", str(support))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p failure_log -p no:cacheprovider")
    return tmp_path


def test_flaky_engine_tests_are_green_and_listed(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both fail beside others and pass by themselves: green, with a table and both last lines."""
    (project / "test_it.py").write_text(PROJECT)
    assert retry_tests.main(["-n", "2"]) == 0
    out = capfd.readouterr().out
    for name in ("test_it.py::test_flaky[a b]", "test_it.py::test_flaky[c[d]::e]"):
        assert f"{name:<40}".strip() in out
    assert "  docker  AssertionError: only this time" in out
    assert "first run:  2 failed, 1 passed" in out
    assert "second run: 2 passed" in out


def test_a_fault_is_red(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What fails in both runs is red, and named."""
    (project / "test_it.py").write_text(PROJECT.replace("assert seen", "assert False"))
    assert retry_tests.main([]) == 1
    assert "red: failed twice: test_it.py::test_flaky[a b]: " in capfd.readouterr().out


def test_a_worker_that_dies_is_red(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The test that took its worker along is not run again."""
    (project / "test_it.py").write_text(PROJECT.replace("pass", "os._exit(3)"))
    assert retry_tests.main(["-n", "2"]) == 1
    out = capfd.readouterr().out
    assert "red: a worker died: gw" in out
    assert "once more" not in out


def test_an_error_of_collection_is_red(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be imported is no flake, also when its tests need an engine."""
    (project / "test_it.py").write_text(f"{PROJECT}\nimport not_there\n")
    assert retry_tests.main([]) == 1
    assert "red: failed, and needs no engine: test_it.py: " in capfd.readouterr().out
