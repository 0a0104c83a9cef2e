"""Containers of the version before this one, upgraded while they run."""

from __future__ import annotations

import pytest
from docker_images import BUSYBOX
from upgrade_cases import UpgradeCases

pytestmark = [pytest.mark.engine("docker"), pytest.mark.timeout(600)]


class TestUpgrade(UpgradeCases):
    """On a real engine."""

    image = ("--image", BUSYBOX)
