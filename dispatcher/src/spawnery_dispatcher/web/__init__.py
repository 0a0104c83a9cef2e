"""The HTTP server: the API with its description, the metrics, the endpoints of Slack."""
