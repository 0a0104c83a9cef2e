"""The Kubernetes spawner of Spawnery: short-lived jobs as Jobs of a cluster."""
