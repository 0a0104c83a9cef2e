"""The engine's containers as this instance sees them, also those that are gone."""
