"""What proves a spawner: the conformance kit, the fault injection and the fake engine.

Names are loaded when they are first used: the fake needs no pytest.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spawnery.testing.bench import Bench as Bench
    from spawnery.testing.bench import FaultPoint as FaultPoint
    from spawnery.testing.commands import Commands as Commands
    from spawnery.testing.faults import Fault as Fault
    from spawnery.testing.faults import FaultPort as FaultPort
    from spawnery.testing.faults import Rule as Rule
    from spawnery.testing.faults import Seen as Seen
    from spawnery.testing.kit import SpawnerContract as SpawnerContract
    from spawnery.testing.promises import promise as promise
    from spawnery.testing.waiting import eventually as eventually

_HOMES = {
    "Bench": "bench",
    "Commands": "commands",
    "Fault": "faults",
    "FaultPoint": "bench",
    "FaultPort": "faults",
    "Rule": "faults",
    "Seen": "faults",
    "SpawnerContract": "kit",
    "eventually": "waiting",
    "promise": "promises",
}

__all__ = [  # noqa: PLE0604 - names of _HOMES
    *_HOMES,
]


def __getattr__(name: str) -> object:
    """Load a name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - the point of being lazy

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
