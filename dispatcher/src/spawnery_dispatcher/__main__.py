"""``python -m spawnery_dispatcher``."""

from spawnery_dispatcher.cli import main

if __name__ == "__main__":
    main()
