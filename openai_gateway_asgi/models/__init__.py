"""The models users may ask for: what upstreams list, under which ids, and who serves them."""

from .catalogue import Candidate, Catalogue, Route
from .listing import Listing, read_listing, static_listing
from .model import Model

__all__ = ["Candidate", "Catalogue", "Listing", "Model", "Route", "read_listing", "static_listing"]
