"""The models users may ask for: what upstreams list, under which ids, and who serves them."""

from .catalogue import Catalogue, Gap
from .listing import Listing, host_listing, read_listing, static_listing
from .merged import Candidate, MergedModels, Overlay, Route, Unlisted
from .model import Model, in_order
from .via import Via

__all__ = [
    "Candidate",
    "Catalogue",
    "Gap",
    "Listing",
    "MergedModels",
    "Model",
    "Overlay",
    "Route",
    "Unlisted",
    "Via",
    "host_listing",
    "in_order",
    "read_listing",
    "static_listing",
]
