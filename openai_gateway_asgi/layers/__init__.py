"""One file per layer, each one idea; ``chain.py`` has their order. No layer imports another."""
