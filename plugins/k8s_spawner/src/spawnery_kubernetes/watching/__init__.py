"""The stream of changes to jobs, joined from Jobs, pods and events."""
