from __future__ import annotations

from collections import Counter

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.models import Candidate
from openai_gateway_asgi.upstream.selection import ordered


def candidates(*upstreams: tuple[str, int, int | None]) -> list[Candidate]:
    return [
        Candidate(Upstream(f"http://{name}.test", name=name, priority=priority, weight=weight), "m")
        for name, priority, weight in upstreams
    ]


def names(found: object) -> list[str]:
    return [candidate.upstream.name for candidate in found]  # type: ignore[attr-defined]


def test_the_order_of_the_list_is_kept_within_a_priority() -> None:
    assert names(ordered(candidates(("a", 1, None), ("b", 0, None), ("c", 1, None), ("d", 0, None)))) == list("bdac")


def test_a_weight_in_one_priority_does_not_shuffle_another() -> None:
    given = candidates(("a", 0, None), ("b", 0, None), ("c", 0, None), ("d", 1, 5), ("e", 1, 5))
    orders = Counter(tuple(names(ordered(given))[:3]) for _ in range(50))
    assert list(orders) == [("a", "b", "c")]


def test_the_first_is_drawn_by_weight_and_every_upstream_is_in_the_order() -> None:
    given = candidates(("a", 0, 8), ("b", 0, 1), ("c", 0, None))
    drawn = [names(ordered(given)) for _ in range(3000)]
    first = Counter(order[0] for order in drawn)

    assert all(sorted(order) == ["a", "b", "c"] for order in drawn)
    assert 2250 < first["a"] < 2550  # 2400 expected
    assert 200 < first["b"] < 400  # 300 expected, and the same for one that has no weight of its own
    assert 200 < first["c"] < 400
