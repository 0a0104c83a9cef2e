"""Logs: read from the engine, or over a connection attached before the start."""
