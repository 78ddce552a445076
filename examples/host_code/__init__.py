"""Code of a host's own at the gateway: filters, a model that searches, an agent. Each module runs offline."""
