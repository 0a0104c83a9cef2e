"""What is kept in Redis: jobs, core's records, leases, and how Redis is reached."""
