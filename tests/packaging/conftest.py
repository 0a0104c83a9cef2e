"""Builds that all packaging tests share."""

from __future__ import annotations

import os

import pytest
from builds import CORE, ROOT, Environment, Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return where wheels and environments are made, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    return Workshop(base / "workshop")


@pytest.fixture(scope="session")
def core_alone(workshop: Workshop) -> Environment:
    """An environment with core's wheel and what it depends on."""
    return workshop.environment(workshop.build(CORE).wheel)


@pytest.fixture(scope="session")
def both(workshop: Workshop) -> Environment:
    """An environment with core and both spawners."""
    projects = (CORE, ROOT / "plugins" / "docker_spawner", ROOT / "plugins" / "k8s_spawner")
    return workshop.environment(*(workshop.build(project).wheel for project in projects))
