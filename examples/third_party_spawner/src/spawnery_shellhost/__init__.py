"""Spawnery's spawner ``shellhost``."""
