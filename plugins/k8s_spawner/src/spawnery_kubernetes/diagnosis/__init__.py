"""What a job's pod says of its state, its end, and what keeps it from running."""
