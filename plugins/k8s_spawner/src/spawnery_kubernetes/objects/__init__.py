"""Jobs, pods and events as the cluster gives them: what they say, read without a request."""
