"""One list and watch per kind, and what was seen by it."""
