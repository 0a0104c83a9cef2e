"""What spawners share beside the contract: log tails, worker pools, proxies, package versions."""

from __future__ import annotations

from spawnery._lazy import exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spawnery.toolkit.denials import denied_by_kernel as denied_by_kernel
    from spawnery.toolkit.log_tail import Tail as Tail
    from spawnery.toolkit.proxies import proxy_for as proxy_for
    from spawnery.toolkit.requirements import check_requirements as check_requirements
    from spawnery.toolkit.workers import NestedWaitError as NestedWaitError
    from spawnery.toolkit.workers import Workers as Workers
else:
    __getattr__, __dir__, __all__ = exports(
        __name__,
        {
            ".denials": ("denied_by_kernel",),
            ".log_tail": ("Tail",),
            ".proxies": ("proxy_for",),
            ".requirements": ("check_requirements",),
            ".workers": (
                "NestedWaitError",
                "Workers",
            ),
        },
    )
