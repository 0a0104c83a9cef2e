"""The Compose files that the project brings."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted(ROOT.glob("docker-compose*.yml"))


class _Loader(yaml.SafeLoader):
    """Reads Compose's own tag as the list behind it."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_not_set_is_not_handed_on(path):
    """No variable is made of one that is not set: Compose would make it an empty one."""
    services = yaml.load(path.read_text(), _Loader)["services"]  # noqa: S506 - a SafeLoader
    for service in services.values():
        values = (service.get("environment") or {}).values()
        assert not [value for value in values if str(value).endswith(":-}")]
