"""A site whose signed-in users chat with models. ``asgi.py`` holds the gateway."""
