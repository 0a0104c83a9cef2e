"""The command line on the fake spawner, whose jobs are scripted."""

from __future__ import annotations
