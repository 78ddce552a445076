from __future__ import annotations

import json
from functools import partial
from time import monotonic
from typing import Any

import pytest

from openai_gateway_asgi.config import Upstream
from openai_gateway_asgi.errors import ModelListUnavailable, ModelNotFound, Unauthenticated
from openai_gateway_asgi.http.pacing import at_once
from openai_gateway_asgi.models import Catalogue, Gap, Listing, MergedModels, read_listing, static_listing
from openai_gateway_asgi.models.merged import AT_ONCE, IN_A_PIECE, WORTH_KEEPING
from tests.support.operations import operations

A = Upstream("http://a/v1")
B = Upstream("http://b/v1")


def listing(upstream: Upstream, *ids: str, index: int = 0) -> Listing:
    return at_once(read_listing(static_listing(upstream, index), json.dumps([{"id": id} for id in ids]).encode()))


def catalogue_of(*listings: Listing, **options: Any) -> Catalogue:
    return Catalogue(MergedModels(listings), **options)


def served(catalogue: Catalogue, id: str) -> list[tuple[str, str]] | None:
    """Who serves the id, and under which id there."""
    route = catalogue.find(id)
    return None if route is None else [(each.upstream.name, each.model_id) for each in route.candidates]


def test_models_are_merged_in_order_and_each_upstream_is_a_candidate() -> None:
    catalogue = catalogue_of(listing(A, "m1", "shared"), listing(B, "shared", "m2", index=1))
    assert [model.id for model in catalogue.models] == ["m1", "shared", "m2"]
    assert served(catalogue, "shared") == [("a", "shared"), ("b", "shared")]
    assert served(catalogue, "m2") == [("b", "m2")]
    assert served(catalogue, "m3") is None
    route = catalogue.find("shared")
    assert route is not None
    assert route.model.metadata["urlIdx"] == 0


def test_upstreams_with_one_prefix_form_a_pool() -> None:
    one, two = Upstream("http://a/v1", prefix_id="p"), Upstream("http://b/v1", prefix_id="p")
    catalogue = catalogue_of(listing(one, "m"), listing(two, "m"))
    assert served(catalogue, "p.m") == [("a", "m"), ("b", "m")]
    assert served(catalogue, "m") is None


def test_a_prefix_and_an_id_may_make_the_same_public_id() -> None:
    prefixed = Upstream("http://a/v1", prefix_id="p")
    catalogue = catalogue_of(listing(prefixed, "m", "p.m"), listing(B, "p.m"))
    assert served(catalogue, "p.m") == [("a", "m"), ("b", "p.m")]
    assert served(catalogue, "p.p.m") == [("a", "p.m")]


@pytest.mark.parametrize(
    ("patterns", "id", "found"),
    [
        (["*"], "anything/at:all", True),
        (["gpt-*"], "gpt-9", True),
        (["gpt-*"], "my-gpt-9", False),
        (["*-mini"], "o9-mini", True),
        (["a.b*"], "axb", False),
        (["plain", "x*"], "plain", True),
        (["plain", "x*"], "other", False),
    ],
)
def test_patterns_route_what_is_not_listed(patterns: list[str], id: str, found: bool) -> None:
    upstream = Upstream("http://a/v1", model_ids=patterns)
    catalogue = catalogue_of(static_listing(upstream, 0))
    assert served(catalogue, id) == ([("a", id)] if found else None)
    route = catalogue.find(id)
    if route is not None and id != "plain":
        assert not route.model.listed
        assert route.model not in catalogue.models
        assert (route.model.id, route.model.upstream) == (id, "a")


@pytest.mark.parametrize(("id", "found"), [("p.m", [("a", "m")]), ("m", None), ("p.", None), ("p", None)])
def test_patterns_are_of_ids_behind_the_prefix(id: str, found: Any) -> None:
    upstream = Upstream("http://a/v1", model_ids=["*"], prefix_id="p")
    assert served(catalogue_of(static_listing(upstream, 0)), id) == found


def test_who_lists_a_model_comes_before_who_only_matches_it() -> None:
    wild = Upstream("http://w/v1", model_ids=["*"])
    catalogue = catalogue_of(listing(wild), listing(B, "m", index=1))
    assert served(catalogue, "m") == [("b", "m"), ("w", "m")]
    route = catalogue.find("m")
    assert route is not None
    assert route.model.listed
    assert [model.id for model in catalogue.models] == ["m"]


def test_an_upstream_that_lists_and_matches_a_model_is_one_candidate() -> None:
    upstream = Upstream("http://a/v1", model_ids=["*"])
    assert served(catalogue_of(listing(upstream, "m")), "m") == [("a", "m")]


@pytest.mark.parametrize(
    ("unknown", "closed", "id", "kind"),
    [
        ([], [], "m", ModelNotFound),
        ([A], [], "m", ModelListUnavailable),
        ([Upstream("http://a/v1", prefix_id="p")], [], "m", ModelNotFound),
        ([Upstream("http://a/v1", prefix_id="p")], [], "p.m", ModelListUnavailable),
        ([], [A], "m", Unauthenticated),
        ([], [Upstream("http://a/v1", prefix_id="p")], "m", ModelNotFound),
        ([B], [A], "m", ModelListUnavailable),
    ],
)
def test_what_is_said_of_a_model_that_is_missing(
    unknown: list[Upstream], closed: list[Upstream], id: str, kind: type[Exception]
) -> None:
    gaps = [Gap(upstream, monotonic() + 60) for upstream in unknown]
    error = catalogue_of(gaps=gaps, closed=closed, retry_after=9).missing(id)
    assert type(error) is kind
    if isinstance(error, ModelListUnavailable):
        assert error.headers == ((b"retry-after", b"9"),)
    if isinstance(error, ModelNotFound):
        assert id in error.message


@pytest.mark.parametrize("id", ["model-0", "model-9", "unheard-of"])
@pytest.mark.parametrize("patterns", [(), ("gpt-*",)])
def test_finding_a_model_costs_the_same_however_many_there_are(id: str, patterns: tuple[str, ...]) -> None:
    wild = Upstream("http://w/v1", model_ids=patterns)
    (model,) = listing(A, "m").models.values()
    costs = set()
    for size in (10, 100_000):
        models = dict.fromkeys((f"model-{number}" for number in range(size)), model)
        find = catalogue_of(Listing(A, 0, models), static_listing(wild, 1)).find
        costs.add(operations(partial(find, id)))
    assert len(costs) == 1
    assert costs.pop() > 0


def test_a_catalogue_shares_the_models_of_its_listings() -> None:
    one = listing(A, "m")
    assert catalogue_of(one).models[0] is catalogue_of(one).models[0] is one.models["m"]


@pytest.mark.parametrize("size", [0, 1, 2, IN_A_PIECE, IN_A_PIECE + 1, 3 * IN_A_PIECE, 5_000, AT_ONCE, AT_ONCE + 1])
@pytest.mark.parametrize("many_see_it", [True, False])
def test_the_pieces_of_a_list_are_one_list(size: int, many_see_it: bool) -> None:
    ids = [f"m{number}" for number in range(size)]
    catalogue = Catalogue(MergedModels((listing(A, *ids),), many_see_it=many_see_it))
    for _ in range(2):
        whole = catalogue.encoded(catalogue.models)
        pieces = list(whole.pieces)
        assert [model["id"] for model in json.loads(b"".join(pieces))["data"]] == ids
        assert len(pieces) == max(1, -(-size // IN_A_PIECE))
        assert sum(map(len, pieces)) == whole.size
    others = catalogue.encoded(catalogue.models[1:])
    assert [model["id"] for model in json.loads(b"".join(others.pieces))["data"]] == ids[1:]


def test_what_is_long_and_one_callers_own_is_not_kept() -> None:
    for many_see_it, size, kept in [(True, 5_000, True), (False, 5_000, False), (False, 500, True)]:
        merged = MergedModels((listing(A, *map(str, range(size))),), many_see_it=many_see_it)
        assert len(merged.all) == size
        assert merged.keeps_all() is kept
        assert (merged.encoded(merged.all) is merged.encoded(merged.all)) is (many_see_it and size >= WORTH_KEEPING)
