"""What the host says: who asks, who may do what, what becomes of the records."""
