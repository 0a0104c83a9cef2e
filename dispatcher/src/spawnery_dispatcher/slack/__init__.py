"""Slack: events and buttons come in, the messages of jobs go out."""
