"""The local engine: jobs as process groups of this machine. It isolates nothing.

Importing this package costs nothing: the supervisor of each job lives in it as well.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    """Load the declaration ``plugin`` when it is first asked for (PEP 562)."""
    if name != "plugin":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - the point of being lazy

    value = import_module(f"{__name__}.plugin").plugin
    globals()[name] = value
    return value
