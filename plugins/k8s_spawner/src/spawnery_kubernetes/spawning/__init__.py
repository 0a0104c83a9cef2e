"""One spawn: Job, Secret, mark."""
