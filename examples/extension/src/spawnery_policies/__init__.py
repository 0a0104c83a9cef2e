"""Extensions for Spawnery, each named by an entry point of ``spawnery.plugins``."""
