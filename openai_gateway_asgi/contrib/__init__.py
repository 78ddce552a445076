"""Hosts and systems that need a library of their own: each module is imported only by who uses it."""
