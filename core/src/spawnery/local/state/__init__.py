"""The folders of jobs, and what is in them."""
