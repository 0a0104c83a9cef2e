"""Real engines for tests: ``@pytest.mark.engine("docker")`` and fixtures that say where they are.

An absent engine skips its tests and names the command that brings it; where
``SPAWNERY_TEST_REQUIRE_ENGINES`` is 1 (continuous integration) it fails them.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest
from engine_probe import BRING, probe
from hypothesis import HealthCheck, settings

pytest_plugins = ["spawnery.testing.report", "turn_taking", "failure_log"]
ABSENT = "engine absent: "

# No test asserts a speed: examples of hypothesis take what time the machine gives them.
settings.register_profile("spawnery", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spawnery")
# A shell that runs us in the background has SIGINT ignored, which commands under test inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


def required() -> bool:
    """Tell whether an absent engine is a failure."""
    return os.environ.get("SPAWNERY_TEST_REQUIRE_ENGINES", "") == "1"


def engine_address(name: str) -> str:
    """Return where the engine is; without one the test that asks is skipped or fails."""
    found = probe(name)
    if found.address is not None:
        return found.address
    text = f"{ABSENT}{name}: {found.reason}; bring it with: {BRING}"
    if required():
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose engine is absent before its fixtures are made."""
    for mark in item.iter_markers("engine"):
        for name in mark.args:
            engine_address(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the suites that were skipped for want of an engine, and the one command."""
    absent: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, found, rest = reason.partition(ABSENT)
        if found:
            absent[rest.partition("; bring it with")[0]] += 1
    if not absent:
        return
    terminalreporter.section("skipped: their engine is not there")
    for text, count in sorted(absent.items()):
        terminalreporter.line(f"{count} tests skipped - {text}")
    terminalreporter.line(f"The command that brings the engines: {BRING}")


@pytest.fixture(scope="session")
def docker_socket() -> str:
    """Path of the unix socket of a Docker daemon that answers."""
    return engine_address("docker")


@pytest.fixture(scope="session")
def redis_address() -> str:
    """``host:port`` of a Redis that answers."""
    return engine_address("redis")


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Path of the kubeconfig of a cluster for tests."""
    return engine_address("kubernetes")
