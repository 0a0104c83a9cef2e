"""What is done with a job: queue, spawn, follow, end; and the watch over the engine."""
