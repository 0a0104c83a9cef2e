"""Jobs and their pods as this instance sees them."""
