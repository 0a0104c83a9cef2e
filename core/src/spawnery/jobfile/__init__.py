"""Job files and the JSON of job specs."""
