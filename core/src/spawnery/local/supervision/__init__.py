"""The process that starts a job's program and waits for its end."""
