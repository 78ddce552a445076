"""What any ASGI application needs of HTTP: scopes, headers, paths, events, bodies as they come, timers, cancelling."""
