"""Finds and loads plugins, and puts all parts of a spawner together."""
