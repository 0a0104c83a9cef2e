"""Typed settings from flags, environment and ``spawnery.toml``."""

from __future__ import annotations

from spawnery._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spawnery.contract.fields import setting as setting
    from spawnery.settings.schema import CoreSettings as CoreSettings
    from spawnery.settings.schema import Origin as Origin
    from spawnery.settings.schema import Settings as Settings
    from spawnery.settings.schema import env_prefix as env_prefix
    from spawnery.settings.schema import ignore_slot as ignore_slot
    from spawnery.settings.schema import load as load
    from spawnery.settings.schema import slots_of as slots_of
    from spawnery.settings.sources import Slot as Slot
else:
    __getattr__, __dir__, __all__ = exports(
        __name__,
        {
            ".schema": (
                "CoreSettings",
                "Origin",
                "Settings",
                "env_prefix",
                "ignore_slot",
                "load",
                "slots_of",
            ),
            ".sources": ("Slot",),
            "..contract.fields": ("setting",),
        },
    )
