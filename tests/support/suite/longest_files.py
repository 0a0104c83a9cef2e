"""Pytest plugin: ``--longest N`` prints the N test files that took longest.

A file's seconds are those of its tests with their fixtures, added up over all workers: they run
side by side, so the sum of all files is longer than the run.
"""

from __future__ import annotations

from collections import Counter

import pytest


class LongestFiles:
    """Adds up, in the process that reports.

    Args:
        count: How many files to print.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._seconds: Counter[str] = Counter()
        self._tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of one test."""
        path = report.nodeid.partition("::")[0]
        self._seconds[path] += report.duration  # type: ignore[assignment]  # a sum of floats
        self._tests[path] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print them."""
        terminalreporter.section("the longest files, all workers together")
        for path, seconds in self._seconds.most_common(self._count):
            terminalreporter.line(f"{seconds / 60:6.1f} min  {self._tests[path]:5} tests  {path}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "print the test files that took longest"
    parser.addoption("--longest", metavar="N", type=int, default=0, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Add up in the process that reports, where it is asked for."""
    count = config.getoption("longest")
    if count and not hasattr(config, "workerinput"):
        config.pluginmanager.register(LongestFiles(count), "longest-files-collector")
