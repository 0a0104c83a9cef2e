"""The log of a job: its file, and how it is read."""
