"""What ``spawnery check`` and ``spawnery plan`` say."""
