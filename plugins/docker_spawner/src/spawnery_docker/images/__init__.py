"""The image of a job: is it there, pull it, what it says of itself."""
