"""What is remembered of jobs outside the engine, and under which lease."""
