"""Spawnery's shell host: jobs on any host that a command reaches."""
