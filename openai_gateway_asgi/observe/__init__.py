"""How the gateway is seen from outside: its log lines and its health; and the protocol to look on at its calls."""

from ..host.observers import AttemptFacts, CallFacts, CallObserver, Observer, StoreObserver

__all__ = ["AttemptFacts", "CallFacts", "CallObserver", "Observer", "StoreObserver"]
