"""What a dispatcher knows of a job, and the rules that need nothing but that."""
