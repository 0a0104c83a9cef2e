"""Pytest plugin: ``--failure-log FILE`` keeps what failed as JSON, for ``scripts/retry_tests.py``.

The file is an object with ``closing`` (pytest's last line), ``passed`` (number of tests), ``died``
(workers that crashed) and ``failures``: objects with ``test`` (node id), ``engines`` (from its
marks; empty for an error of collection) and ``error`` (one line). A run that was cut off leaves no
file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class FailureLog:
    """Collects in the process that reports; workers only name the engines of their tests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed = 0
        self._died: list[str] = []
        self._failures: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first error of each test."""
        if report.when == "call" and report.passed:
            self._passed += 1
        if report.failed:
            self._keep(report.nodeid, getattr(report, "engines", []), report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self._keep(report.nodeid, [], report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Keep the name of a worker that died."""
        if error:
            self._died.append(f"{node.gateway.id}: {error}")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the file."""
        parts, _ = terminalreporter.build_summary_stats_line()
        found = {
            "closing": ", ".join(text for text, _ in parts),
            "passed": self._passed,
            "died": self._died,
            "failures": list(self._failures.values()),
        }
        self._path.write_text(json.dumps(found, indent=1))

    def _keep(self, test: str, engines: list[str], report: Any) -> None:
        kept = {"test": test, "engines": engines, "error": _first_line(report)}
        self._failures.setdefault(test, kept)


def _first_line(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = [line.strip() for line in (crash.message if crash else report.longreprtext).split("\n")]
    said = [line for line in lines if line]
    if not said:
        return "no words"
    return str(said[0] if crash else said[-1])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "keep what failed, and of which engine, as JSON in this file"
    parser.addoption("--failure-log", metavar="FILE", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Collect in the process that reports, where a file is asked for."""
    path = config.getoption("failure_log")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailureLog(path), "failure-log-collector")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Write onto a report which engines its test needs: marks stay in the worker."""
    report: Any = yield
    report.engines = sorted({name for mark in item.iter_markers("engine") for name in mark.args})
    return report
