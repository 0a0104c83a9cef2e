"""The program of a supervisor process: ``python -I -S supervise.py FOLDER LOCK_FD``.

Makes the package importable without running what its ``__init__`` imports: a supervisor stays
small, and a hundred of them run at once.
"""

from __future__ import annotations

import os
import sys


def _light_packages() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    for name, folder in (("spawnery", os.path.dirname(here)), ("spawnery.local", here)):
        package = type(sys)(name)
        package.__path__ = [folder]
        sys.modules[name] = package


if __name__ == "__main__":
    _light_packages()
    from spawnery.local.supervisor import main

    main(sys.argv[1], int(sys.argv[2]))
