"""The program of a supervisor process: ``python -I -S program.py FOLDER LOCK_FD``.

Makes the package importable without running what its ``__init__`` imports: a supervisor stays
small, and a hundred of them run at once.
"""

from __future__ import annotations

import os
import sys

_PACKAGES = (
    "spawnery",
    "spawnery.local",
    "spawnery.local.output",
    "spawnery.local.supervision",
    "spawnery.local.system",
    "spawnery.toolkit",
)


def _light_packages() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    for name in _PACKAGES:
        package = type(sys)(name)
        package.__path__ = [os.path.join(root, *name.split(".")[1:])]
        sys.modules[name] = package


if __name__ == "__main__":
    _light_packages()
    from spawnery.local.supervision.supervisor import main

    main(sys.argv[1], int(sys.argv[2]))
