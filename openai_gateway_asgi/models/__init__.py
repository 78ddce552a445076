"""The models users may ask for: what upstreams list, under which ids, and who serves them."""

from .catalogue import Catalogue, Gap
from .listing import Listing, host_listing, read_listing, static_listing
from .merged import Candidate, MergedModels, Route, Unlisted
from .model import Model

__all__ = [
    "Candidate",
    "Catalogue",
    "Gap",
    "Listing",
    "MergedModels",
    "Model",
    "Route",
    "Unlisted",
    "host_listing",
    "read_listing",
    "static_listing",
]
