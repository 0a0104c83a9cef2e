"""Typed settings from flags, environment and ``spawnery.toml``."""
