"""One file per layer, each one idea; ``gateway.py`` has their order. No layer imports another."""
