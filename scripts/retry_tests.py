#!/usr/bin/env python3
"""Run pytest; engine tests that fail run once more, with no other test beside them.

Engines share a busy machine, so one of their tests may fail for want of time. Red are, without a
second run: more than ``LIMIT`` failures, a failure without the mark ``engine``, a worker that died,
and a run that did not reach its end. Red is a second failure of the same test. Arguments go to the
first run. Exit code: 0 or 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT = 10
PASSED, FAILED = 0, 1  # pytest's exit codes; what else there is was no run of tests
WIDEST_ERROR = 120


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A test that failed."""

    test: str
    engines: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run of pytest left in its failure log."""

    exit_code: int
    passed: int = 0
    closing: str = ""
    failures: tuple[Failure, ...] = ()
    died: tuple[str, ...] = ()
    complete: bool = field(default=True)


def read_run(exit_code: int, path: Path) -> Run:
    """Read a failure log; a log that is not there means a run that was cut off."""
    if not path.is_file():
        return Run(exit_code=exit_code, complete=False)
    found: dict[str, Any] = json.loads(path.read_text())
    failures = tuple(
        Failure(test=one["test"], engines=tuple(one["engines"]), error=one["error"])
        for one in found["failures"]
    )
    return Run(
        exit_code=exit_code,
        passed=found["passed"],
        closing=found["closing"],
        failures=failures,
        died=tuple(found["died"]),
    )


def reasons_for_red(first: Run) -> list[str]:
    """Return why a run is red at once; empty where it is green or worth a second run."""
    if not first.complete:
        return [f"pytest was cut off (exit code {first.exit_code})"]
    found = [f"a worker died: {name}" for name in first.died]
    if len(first.failures) > LIMIT:
        found.append(f"{len(first.failures)} tests failed, more than {LIMIT}")
    found += [
        f"failed, and needs no engine: {one.test}: {one.error}"
        for one in first.failures
        if not one.engines
    ]
    if first.exit_code not in {PASSED, FAILED}:
        found.append(f"pytest ended with exit code {first.exit_code}")
    if not found and first.exit_code == FAILED and not first.failures:
        found.append("pytest is red, though no test failed")
    return found


def reasons_after_retry(first: Run, second: Run) -> list[str]:
    """Return why the second run does not clear the failures of the first one."""
    if not second.complete:
        return [f"pytest was cut off in the second run (exit code {second.exit_code})"]
    found = [f"failed twice: {one.test}: {one.error}" for one in second.failures]
    if not found and second.exit_code != PASSED:
        found.append(f"the second run ended with exit code {second.exit_code}")
    if not found and second.passed != len(first.failures):
        found.append(f"{second.passed} of {len(first.failures)} passed in the second run")
    return found


def table(failures: Sequence[Failure]) -> list[str]:
    """Return the lines of a table of the tests that were run twice."""
    rows = [("TEST", "ENGINE", "FIRST ERROR")]
    rows += [(one.test, ",".join(one.engines), one.error[:WIDEST_ERROR]) for one in failures]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows]


def run_pytest(arguments: Sequence[str], log: Path) -> Run:
    """Run pytest of this environment to its end."""
    command = [sys.executable, "-m", "pytest", f"--failure-log={log}", *arguments]
    return read_run(subprocess.run(command, check=False).returncode, log)


def main(arguments: Sequence[str]) -> int:
    """Run, decide, run again, decide."""
    with tempfile.TemporaryDirectory(prefix="spawnery-tests-") as folder:
        first = run_pytest(arguments, Path(folder) / "first.json")
        red = reasons_for_red(first)
        if not red and first.failures:
            print(f"\n== {len(first.failures)} engine tests failed: each once more by itself")
            tests = [one.test for one in first.failures]
            second = run_pytest(["-n", "0", *tests], Path(folder) / "second.json")
            red = reasons_after_retry(first, second)
            print("\n== tests that were run again")
            print("\n".join(table(first.failures)))
            print(f"first run:  {first.closing}\nsecond run: {second.closing}")
    for reason in red:
        print(f"red: {reason}")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
