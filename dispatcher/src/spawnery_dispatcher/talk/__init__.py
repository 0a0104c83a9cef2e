"""What is asked of the dispatcher, and what it answers."""
