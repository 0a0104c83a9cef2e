"""What a job is and how it ended: specs, statuses, outcomes, secrets, names, quantities."""
