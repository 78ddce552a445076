"""One small application per host, each runnable as printed, offline and without a key."""
