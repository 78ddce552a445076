"""What comes back from an upstream: relayed, completed, refused, and read for its usage."""
