"""P9: light."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from spawnery.contract.declaration import API_VERSION
from spawnery.testing.promises import promise
from spawnery.testing.suites.base import Suite

if TYPE_CHECKING:
    from spawnery.spawner import Spawner
    from spawnery.testing.bench import Bench

_DECLARATION = """
import json, sys
from spawnery.loading.discovery import load_spawner
from spawnery.testing.bench import load_plugin
name, path = sys.argv[1:]
plugin = load_plugin(path) if path else load_spawner(name, origin="kit").plugin
assert plugin.name == name
"""
_OPENED = """
from spawnery import Spawner
Spawner.open(plugin=plugin).close()
"""
_REPORT = "print(json.dumps(sorted(sys.modules)))"


class Light(Suite):
    """No SDK before the first call that needs it."""

    @promise("P9")
    def test_the_declaration_imports_no_sdk(self, bench: Bench) -> None:
        """Reading the declaration, as `spawnery spawners` does, imports no SDK."""
        assert not _imported(bench, _DECLARATION) & set(bench.sdk_modules)

    @promise("P9")
    def test_opening_imports_no_foreign_sdk(self, bench: Bench) -> None:
        """An opened spawner imports no SDK of another engine."""
        foreign = {"docker", "kubernetes"} - {bench.spawner_type}
        assert not _imported(bench, _DECLARATION + _OPENED) & foreign

    @promise("P9")
    def test_the_declaration_is_complete(self, spawner: Spawner) -> None:
        """Name, contract version, capabilities and settings are what core can read."""
        plugin = spawner.plugin
        assert plugin.api == API_VERSION
        assert plugin.name == plugin.name.lower()
        assert all(isinstance(item, str) for item in plugin.capabilities)
        assert plugin.summary
        assert all(origin.description for origin in spawner.settings.origins.values())


def _imported(bench: Bench, code: str) -> set[str]:
    """Run code in a new interpreter; returns the top-level modules that it has imported."""
    arguments = [bench.spawner_type, bench.plugin_path or ""]
    done = subprocess.run(
        [*bench.python(), "-c", code + _REPORT, *arguments],
        env=bench.environ(),
        cwd=bench.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}
