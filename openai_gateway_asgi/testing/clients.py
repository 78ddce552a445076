"""Clients for tests of an app whose users sign in with a cookie: they say what a browser says of whose page asks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.testclient import TestClient

OWN_PAGE: Mapping[str, str] = {"sec-fetch-site": "same-origin"}
"""The headers by which a browser says that a page of the app's own asks. A client with a cookie needs them."""
OTHER_SITE: Mapping[str, str] = {"sec-fetch-site": "cross-site", "origin": "https://another-site.test"}
"""Those by which it says that a page of another site asks: the gateway refuses it with a 403."""


def browser(app: Any, *, headers: Mapping[str, str] = {}, **options: Any) -> TestClient:
    """Starlette's ``TestClient`` for any ASGI app (Starlette, FastAPI, Django), as a page of the app's own.

    ``options`` are the ``TestClient``'s: ``cookies``, ``base_url`` and so on. ``headers`` are sent with each request
    and win over those of the page.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette asks for httpx2; this works with httpx as well
        from starlette.testclient import TestClient

    return TestClient(app, headers={**OWN_PAGE, **headers}, **options)
