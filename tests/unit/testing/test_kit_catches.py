"""The conformance kit fails a spawner that breaks a promise, by a test of that promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import pytest
from attrs import frozen
from broken_base import BROKEN, Broken
from broken_spawners import __name__ as registered
from spawnery.testing.promises import PROMISES, PROPERTY

if TYPE_CHECKING:
    from spawnery.testing.fake.bench import FakeBench

_SUPPORT: Final = Path(__file__).parents[2] / "support" / "kit"
_LIMIT: Final = 500
pytestmark = pytest.mark.timeout(_LIMIT + 100)
_CONTRACTS: Final = """
import pytest
from broken_base import BROKEN
from broken_spawners import __name__
from spawnery.testing import SpawnerContract
from spawnery.testing.fake.bench import AutoRemoving, FakeBench

def contract(kind, path):
    class Contract(SpawnerContract):
        __test__ = True

        @pytest.fixture
        def bench(self, tmp_path):
            made = kind(tmp_path)
            made.plugin_path = path
            yield made
            made.close()

    return Contract

TestFakeBench = contract(FakeBench, None)
TestAutoRemoving = contract(AutoRemoving, None)
for name, broken in BROKEN.items():
    globals()[f"Test{name}"] = contract(broken.bench, f"broken_spawners:plugin_of_{name}")
"""


@frozen
class Result:
    """What the kit said of one test.

    Attributes:
        promise: What the test is marked with.
        failed: Its failure, if it failed itself (and not its preparation).
        trouble: An error around the test, or that it was skipped.
    """

    promise: str | None
    failed: str | None
    trouble: str | None


def _kit(folder: Path, wanted: Iterable[tuple[str, str]], *, patience: float) -> dict[str, Result]:
    """Run tests of the kit, given as (class, test), in a pytest of its own."""
    (folder / "test_contracts.py").write_text(_CONTRACTS)
    report = folder / "report.xml"
    tests = [f"test_contracts.py::Test{name}::{test}" for name, test in wanted]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-q",
         "-p", "no:cacheprovider", "--timeout", "180", f"--junitxml={report}",
         f"--basetemp={folder / 'tmp'}", *tests],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(_SUPPORT),
            "SPAWNERY_TEST_PATIENCE": str(patience),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - we have just had it written
    return {f"{case.get('classname')}.{case.get('name')}".partition(".Test")[2]: _result(case)
            for case in cases}  # fmt: skip


def _result(case: ET.Element) -> Result:
    said = {item.get("name"): item.get("value") for item in case.iter("property")}
    trouble = [element for kind in ("error", "skipped") for element in case.iter(kind)]
    failure = case.find("failure")
    return Result(
        promise=said.get(PROPERTY),
        failed=None if failure is None else f"{failure.get('message')}",
        trouble="; ".join(f"{element.get('message')}" for element in trouble) or None,
    )


def _missed(name: str, broken: Broken, results: dict[str, Result]) -> list[str]:
    """Say which of the tests that must catch a spawner did not."""
    missed = []
    for test in broken.tests:
        ran = {key: got for key, got in results.items()
               if key.partition("[")[0] == f"{name}.{test}"}  # fmt: skip
        caught = [got for got in ran.values() if got.failed and got.promise == broken.promise]
        if not caught:
            missed.append(f"{name} is not caught by {test}: {ran}")
        missed += [f"{name} hangs {key}" for key, got in ran.items()
                   if got.failed and "Timeout (>" in got.failed]  # fmt: skip
    return missed


@pytest.mark.parametrize("promise", PROMISES)
def test_every_broken_spawner_is_caught(promise: str, tmp_path: Path) -> None:
    """A spawner that breaks a promise fails in the tests of that promise, and hangs none."""
    assert registered
    broken = {name: item for name, item in BROKEN.items() if item.promise == promise}
    assert broken, f"no spawner breaks {promise}"
    wanted = [(name, test) for name, item in broken.items() for test in item.tests]
    results = _kit(tmp_path, wanted, patience=2)
    missed = [line for name, item in broken.items() for line in _missed(name, item, results)]
    assert not missed, "\n".join(missed)


def test_a_sound_spawner_is_not(tmp_path: Path) -> None:
    """The same tests pass with the fake as it is."""
    kinds: dict[type[FakeBench], set[str]] = {}
    for item in BROKEN.values():
        kinds.setdefault(item.bench, set()).update(item.tests)
    wanted = [(kind.__name__, test) for kind, tests in kinds.items() for test in sorted(tests)]
    results = _kit(tmp_path, wanted, patience=30)
    assert len(results) >= len(wanted)
    assert {key: got for key, got in results.items() if got.failed or got.trouble} == {}
