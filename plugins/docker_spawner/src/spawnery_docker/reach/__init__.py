"""Where the engine is, the way there, and why it is not reached."""
