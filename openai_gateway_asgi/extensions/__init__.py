"""What the host's own code serves, calls and filters."""
