"""One spawn: image, create, listen, start."""
