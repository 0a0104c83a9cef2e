"""A job from its start to its removal: spawn, watch, record, end, logs, cleanup."""
