"""A table promise x spawner: ``pytest -p spawnery.testing.report --spawnery-report``."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping
from typing import Final

import pytest
from attrs import define, field

from spawnery.testing.promises import (
    PROMISES,
    PROPERTY,
    REFUSED_PROPERTY,
    SPAWNER_PROPERTY,
)

_REFUSED: Final = "refused"
_KINDS: Final = ("passed", "failed", _REFUSED, "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("spawnery")
    group.addoption(
        "--spawnery-report",
        action="store_true",
        help="print a table of promises and results per spawner at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let a plugin that takes warnings for errors use the import paths of 0.2 for now.

    Goes with ``spawnery._compat``.
    """
    config.addinivalue_line("filterwarnings", r"default:spawnery\..* moved to:DeprecationWarning")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not terminalreporter.config.getoption("spawnery_report"):
        return
    tables = tables_of(
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    )
    for line in lines_of(tables):
        terminalreporter.write_line(line)


@define
class Table:
    """What the tests of one spawner said: counts by (promise, kind), and why some were skipped."""

    counts: collections.Counter[tuple[str, str]] = field(factory=collections.Counter)
    reasons: dict[str, set[str]] = field(factory=lambda: collections.defaultdict(set))
    refused: set[str] = field(factory=set)


def tables_of(reports: Iterator[pytest.TestReport]) -> Mapping[str, Table]:
    """Sort reports by spawner; works with those that xdist sends as well."""
    tables: dict[str, Table] = collections.defaultdict(Table)
    for report in reports:
        said = dict(report.user_properties)
        number = said.get(PROPERTY)
        if number is None or (report.when != "call" and report.passed):
            continue
        table = tables[str(said.get(SPAWNER_PROPERTY, ""))]
        kind, reason = _judged(report, refused=REFUSED_PROPERTY in said)
        table.counts[str(number), kind] += 1
        if reason is not None:
            table.reasons[str(number)].add(reason)
        if kind == _REFUSED and REFUSED_PROPERTY in said:
            table.refused.add(str(said[REFUSED_PROPERTY]))
    return tables


def _judged(report: pytest.TestReport, *, refused: bool) -> tuple[str, str | None]:
    if report.failed:
        return "failed", None
    if report.skipped:
        reason = _reason(report)
        kind = _REFUSED if reason.startswith(_REFUSED) else "skipped"
        return kind, reason.removeprefix(f"{_REFUSED}: ")
    return (_REFUSED if refused else "passed"), None


def _reason(report: pytest.TestReport) -> str:
    where = report.longrepr
    text = str(where[2]) if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


def lines_of(tables: Mapping[str, Table]) -> Iterator[str]:
    """Write the tables down."""
    for spawner, table in sorted(tables.items()):
        yield ""
        yield f"{spawner}: promises kept"
        yield f"  {'':34}" + "".join(f"{kind:>9}" for kind in _KINDS)
        for number, words in PROMISES.items():
            counts = [table.counts[number, kind] for kind in _KINDS]
            if not any(counts):
                continue
            cells = "".join(f"{count or '-':>9}" for count in counts)
            yield f"  {number:<8}{words:<26}{cells}"
            yield from (f"          {reason}" for reason in sorted(table.reasons[number]))
        if table.refused:
            yield f"  refused, as it should be: {', '.join(sorted(table.refused))}"
