"""The commands, one module each; the table is in ``spawnery.cli.root``."""
