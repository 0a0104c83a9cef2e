"""Spawnery's Docker spawner: jobs as containers of a Docker engine. Importing it imports no SDK."""
