"""Metadata of distributions that are installed as far as importlib.metadata can tell."""

from __future__ import annotations

from pathlib import Path

import pytest


def pretend(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, version: str, *requires: str
) -> None:
    """Put a distribution in front of one that is installed under the same name.

    Args:
        monkeypatch: Takes it away again.
        folder: Where its metadata are written.
        name, version, requires: As pip would have installed it.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    (info / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(folder)
