"""A supervisor that takes its order and never answers."""

from __future__ import annotations

import sys
import time

sys.stdin.buffer.read()
time.sleep(600)
