"""The connections under the client, and which requests are sent again."""
