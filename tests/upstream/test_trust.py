from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from openai_gateway_asgi import Settings, Upstream
from openai_gateway_asgi.upstream.connections import Connections
from openai_gateway_asgi.upstream.trust import Trust
from tests.reliability.gateways import trust

A = "https://a.example/v1"


def authorities(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


@pytest.fixture(scope="module", autouse=True)
def _as_the_system_is() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def system() -> int:
    count = authorities(ssl.create_default_context())
    assert count > 10  # else nothing here can be told from the system's
    return count


@pytest.mark.parametrize(
    ("for_all", "own", "verified", "more"),
    [
        (True, None, True, 0),
        (False, None, False, 0),
        (True, False, False, 0),
        (False, True, True, 0),
        (True, trust(), True, 1),
        (False, trust(), True, 1),
        (trust(), trust(), True, 1),
        (trust(), True, True, 0),
    ],
)
def test_an_upstream_s_own_trust_stands_beside_the_one_for_all(
    system: int, for_all: bool | str, own: bool | str | None, verified: bool, more: int
) -> None:
    context = Trust(for_all).context(Upstream(A, verify_tls=own))
    assert (context.verify_mode is ssl.CERT_REQUIRED) is context.check_hostname is verified
    assert authorities(context) == system + more


def test_the_file_for_all_stands_in_the_system_s_place() -> None:
    assert authorities(Trust(trust()).context(Upstream(A))) == 1


def test_one_context_serves_all_upstreams_of_one_kind_while_one_has_it() -> None:
    kinds = Trust(True)
    first, second = Upstream(A, verify_tls=False), Upstream("https://b.example/v1", verify_tls=False)
    context = kinds.context(first)
    assert kinds.context(second) is context
    kinds.keep_only([second])
    assert kinds.context(first) is context
    kinds.keep_only([Upstream(A)])
    assert kinds.context(first) is not context


async def test_upstreams_of_another_trust_share_no_connections() -> None:
    connections = Connections(Settings())
    pools = [connections.lease(Upstream(A, verify_tls=own)) for own in (None, True, False, trust())]
    assert len(set(pools)) == 4
    for pool in pools:
        pool.release()
    await connections.aclose()
