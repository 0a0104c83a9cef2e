"""Files, locks, processes and clocks of this machine."""
