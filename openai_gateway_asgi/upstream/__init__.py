"""How upstreams are reached: connections, credentials, model lists, selection, the memory of failures."""
