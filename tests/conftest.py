"""Real engines for tests: ``@pytest.mark.engine("docker")`` and fixtures that say where they are.

Where an engine, or a program named by ``@pytest.mark.tool("openssl")``, is absent, the test is
skipped with the command that brings it; where ``SPAWNERY_TEST_REQUIRE_ENGINES`` is 1 (continuous
integration) it fails.
"""

from __future__ import annotations

import gc
import signal
from collections import Counter

import pytest
from absence import ABSENT, BRING, absent
from engine_probe import probe
from hypothesis import HealthCheck, settings
from tools import TOOLS, need

pytest_plugins = [
    "spawnery.testing.report",
    "turn_taking",
    "fixture_tries",
    "failure_log",
    "longest_files",
]

# No test asserts a speed: examples of hypothesis take what time the machine gives them.
settings.register_profile("spawnery", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spawnery")
# A shell that runs us in the background has SIGINT ignored, which commands under test inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


def engine_address(name: str) -> str:
    """Return where the engine is; without one the test that asks is skipped or fails."""
    found = probe(name)
    if found.address is None:
        absent(name, found.reason)
    return found.address


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test that lacks an engine or a tool before its fixtures are made."""
    for mark in item.iter_markers("engine"):
        for name in mark.args:
            if name in TOOLS:  # podman: its tests start one of their own
                need(name)
            else:
                engine_address(name)
    for mark in item.iter_markers("tool"):
        for name in mark.args:
            need(name)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Collect garbage after a test of an engine: what it left open is its failure, nobody else's.

    pytest reports it at the end of whichever test runs when the garbage happens to be collected.
    """
    if item.get_closest_marker("engine") is not None:
        gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the suites that were skipped for want of an engine or a tool, and the one command."""
    lacking: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, found, rest = reason.partition(ABSENT)
        if found:
            lacking[rest.partition("; bring it with")[0]] += 1
    if not lacking:
        return
    terminalreporter.section("skipped: their engine or tool is not there")
    for text, count in sorted(lacking.items()):
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
