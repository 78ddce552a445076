from __future__ import annotations

import pytest

from openai_gateway_asgi.models.prefix import public_id, upstream_id


@pytest.mark.parametrize(
    ("prefix", "upstream", "public"),
    [
        pytest.param("", "gpt-4o", "gpt-4o", id="without-a-prefix"),
        pytest.param("", "a.b", "a.b", id="a-dot-is-no-prefix"),
        pytest.param("pa", "m1", "pa.m1", id="case-20-71"),
        pytest.param("pa", "pa.b.c", "pa.pa.b.c", id="case-72-only-the-leading-one"),
        pytest.param("a", "gpt.a.b", "a.gpt.a.b", id="case-72-not-inside"),
        pytest.param("pa", "openai/o3", "pa.openai/o3", id="a-provider-inside"),
        pytest.param("x.y", "m", "x.y.m", id="a-prefix-with-a-dot"),
    ],
)
def test_an_id_goes_out_with_its_prefix_and_comes_back_without(prefix: str, upstream: str, public: str) -> None:
    assert public_id(prefix, upstream) == public
    assert upstream_id(prefix, public) == upstream


@pytest.mark.parametrize(
    ("prefix", "public"),
    [
        pytest.param("pa", "m1", id="case-73-bare"),
        pytest.param("pa", "pam1", id="no-dot"),
        pytest.param("pa", "PA.m1", id="another-case"),
        pytest.param("pa", "pb.m1", id="another-prefix"),
        pytest.param("pa", "pa.", id="nothing-behind-it"),
        pytest.param("pa", "pa", id="the-prefix-alone"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_an_id_without_the_prefix_is_not_of_this_upstream(prefix: str, public: str) -> None:
    assert upstream_id(prefix, public) is None
