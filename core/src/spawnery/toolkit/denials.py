"""Which words of a failed job's log are the kernel's: that it was denied a path."""

from __future__ import annotations

import re
from typing import Final

_ERRORS: Final = "Permission denied|Operation not permitted|Read-only file system"
_DENIED: Final = re.compile(
    rf"[\s'\"\u2018`]/[^\s'\"\u2019:]+['\"\u2019]?: (?:{_ERRORS})\s*$"
    rf"|\[Errno (?:1|13|30)\] (?:{_ERRORS}): ['\"]/[^'\"]+"
    rf"|['\"]/[^'\"]+['\"] failed \((?:1|13|30): (?:{_ERRORS})\)",
    re.MULTILINE,
)
"""The kernel's error on a path, as the C library, Python and nginx write it. Other words of a log
on permissions ("Permission denied (publickey)") are the program's own affair."""


def denied_by_kernel(tail: str | None) -> bool:
    """Tell whether the end of a log has an error of the kernel on an absolute path.

    What a program says of other permissions is its own affair, and no reason to weaken security.
    """
    return _DENIED.search(tail or "") is not None
