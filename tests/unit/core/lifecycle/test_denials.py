"""Whose words in a log say that a job was denied something: the kernel's alone."""

from __future__ import annotations

import pytest
from spawnery.toolkit import denied_by_kernel


@pytest.mark.parametrize(
    ("tail", "denied"),
    [
        ("sh: /root/run.sh: Permission denied", True),
        ("PermissionError: [Errno 13] Permission denied: '/var/lib/x'", True),
        ("mkdir: can't create directory '/data': Read-only file system\nbye", True),
        ("git@example.org: Permission denied (publickey).", False),
        ("psql: ERROR: permission denied for table users", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_kernels_errors_on_a_path_count(tail, denied):
    """What a program says of other permissions is no evidence of the profile."""
    assert denied_by_kernel(tail) is denied
