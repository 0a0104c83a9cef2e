"""Which cluster, and who we are there."""
