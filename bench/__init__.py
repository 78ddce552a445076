"""What the gateway costs, measured beside other ways to do the same: ``python -m bench``. See bench/README.md."""
