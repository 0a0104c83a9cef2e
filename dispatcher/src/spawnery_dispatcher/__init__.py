"""The dispatcher: a chat message or an API request becomes a job, and its end an answer."""
