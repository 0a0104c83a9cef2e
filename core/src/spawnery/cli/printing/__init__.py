"""How commands show jobs, outcomes, logs and progress."""
