"""From a spec to the request that a spawner gets."""
