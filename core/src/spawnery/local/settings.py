"""Settings of the local engine."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from spawnery.contract.fields import setting

_LEAST_LOG: Final = 128 * 1024


def _enough(value: int) -> str | None:
    return None if value >= _LEAST_LOG else f"must be at least {_LEAST_LOG}"


@frozen(kw_only=True)
class LocalSettings:
    """``SPAWNERY_LOCAL_*`` and the table ``[local]``."""

    pass_env: tuple[str, ...] = setting(
        (),
        description="Further variables of ours that each job inherits; * and ? match.",
    )
    log_max_bytes: int = setting(
        64 * 1024 * 1024,
        check=_enough,
        description="Bytes of log kept per job, with 13 for each piece that it writes; the oldest"
        " go first, and readers are told how many.",
    )
