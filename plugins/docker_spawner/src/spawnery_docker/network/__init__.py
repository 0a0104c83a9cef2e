"""The network of a job, and which container we run in ourselves."""
