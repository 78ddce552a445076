"""How the gateway is seen from outside: its log line and its health."""
