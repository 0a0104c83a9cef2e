"""The plugin contract: hooks, their arguments, the declaration, streams, the engine's clock."""
