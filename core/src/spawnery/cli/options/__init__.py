"""Command-line options: job fields, values, the flags of docker and kubectl."""
