"""What is to be done with a job and how it ended; pure functions."""
