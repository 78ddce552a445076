from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.answers.redaction import events_without_secrets, without_secrets
from openai_gateway_asgi.errors import UpstreamRefused
from openai_gateway_asgi.upstream.sent_secrets import PART, Secrets
from tests.support.cost import assert_costs

KEY = "sk-proj-4bCd/EfGh+IjKl=Mn_oPqRs.tUvWxYz0123"
PASSWORD = 'pa%55/w:rd with "quotes"'


def secrets(*texts: str) -> Secrets:
    return Secrets(text.encode() for text in texts)


def cut(data: str, *texts: str) -> str | None:
    clean = secrets(*(texts or (KEY,))).cut_out_of(data.encode())
    return None if clean is None else clean.decode("latin-1")


SPELLINGS = {
    "plain": KEY,
    "capitals": KEY.upper(),
    "url": quote(KEY, safe=""),
    "url, slashes kept": quote(KEY),
    "form": quote_plus(KEY),
    "url, small hex": quote(KEY, safe="").lower(),
    "json": json.dumps(KEY)[1:-1],
    "json of PHP": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "json of .NET": KEY.replace("+", "\\u002B"),
    "json, all escaped": "".join(f"\\u{ord(char):04x}" for char in KEY),
    "html": html.escape(KEY),
    "url, all escaped": "".join(f"%{ord(char):02X}" for char in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of a header": base64.b64encode(f"Authorization: Bearer {KEY}\r\n".encode()).decode(),
    "base64 of a pair": base64.urlsafe_b64encode(f"me:{KEY}".encode()).decode(),
    "broken off": KEY[:20] + "...",
    "its end": "..." + KEY[-20:],
    "wide": "\0".join(KEY),
}


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=list(SPELLINGS))
def test_a_secret_is_found_however_it_is_spelt(spelt: str) -> None:
    clean = cut(f"Bad key ({spelt}), sorry.")
    assert clean is not None
    assert clean.removeprefix("Bad key (").removeprefix("...").startswith("***")
    assert clean.endswith("), sorry.")
    longest = max(part for part in KEY.replace("/", "+").replace("=", "+").split("+"))
    assert longest.lower() not in clean.lower()


def test_the_rest_stays_as_it_is_byte_by_byte() -> None:
    assert cut(f'{{"n":1.50, "key" : "{KEY}","a":"\\u00e9"}}') == '{"n":1.50, "key" : "***","a":"\\u00e9"}'


def test_what_holds_none_is_the_same_object() -> None:
    data = b'{"error": {"message": "Bad key sk-other"}}'
    assert secrets(KEY).cut_out_of(data) is data


@pytest.mark.parametrize(
    ("data", "clean"),
    [
        ("Key ka is bad: okay?", "Key *** is bad: okay?"),
        ("ka", "***"),
        ("kaka ka_ka", "kaka ka_ka"),
    ],
)
def test_a_short_one_is_cut_out_as_a_word_of_its_own(data: str, clean: str) -> None:
    assert cut(data, "ka") == clean


def test_what_would_be_no_json_any_more_is_not_shown() -> None:
    assert cut('{"error": {"code": 123456}}', "123456") is None


def test_several_that_overlap_leave_nothing_of_each() -> None:
    assert cut("<abcdefghij>", "abcdefgh", "cdefghij") == "<***>"


def upstream(**options: object) -> Upstream:
    return Upstream("http://u.test/v1", **options)  # type: ignore[arg-type]


BASIC = base64.b64encode(b"me:open-sesame").decode()


@pytest.mark.parametrize(
    ("given", "headers", "told"),
    [
        (upstream(), [(b"authorization", b"Bearer sk-12345678")], "sk-12345678"),
        (upstream(), [(b"authorization", b"sk-12345678")], "sk-12345678"),
        (upstream(), [(b"api-key", b"sk-12345678")], "sk-12345678"),
        (upstream(), [(b"authorization", f"Basic {BASIC}".encode())], BASIC),
        (upstream(), [(b"authorization", f"Basic {BASIC}".encode())], "open-sesame"),
        (upstream(), [(b"cookie", b"a=1; flavour=vanilla-bean")], "vanilla-bean"),
        (upstream(headers={"X-Team": "blue-team"}), [(b"x-team", b"blue-team")], "blue-team"),
        (upstream(headers={"X-Auth": "Bearer t0ken-of-ours"}), [(b"x-auth", b"Bearer t0ken-of-ours")], "t0ken-of-ours"),
        (upstream(query={"key": "open-sesame", "api-version": "I got"}), [], "open-sesame"),
        (upstream(proxy="http://me:open%2Dsesame@p.test"), [], "open-sesame"),
        (upstream(proxy="http://me:open-sesame@p.test"), [], BASIC),
    ],
)
def test_these_are_the_secrets_of_a_request(given: Upstream, headers: list[tuple[bytes, bytes]], told: str) -> None:
    assert Secrets.sent(given, headers).cut_out_of(f"I got <{told}>".encode()) == b"I got <***>"


def test_what_a_client_sent_and_may_read_is_none() -> None:
    sent = Secrets.sent(upstream(headers={"X-Debug": "on"}), [(b"user-agent", b"OpenAI/Python"), (b"x-debug", b"on")])
    assert sent.cut_out_of(b"OpenAI/Python is on") == b"OpenAI/Python is on"


def test_a_refusal_loses_headers_that_repeat_one_and_all_of_a_body_that_cannot_be_cut() -> None:
    body = b'{"error": {"code": 12345678}}'
    headers = ((b"x-request-id", b"req-1"), (b"openai-version", b"12345678"))
    clean = without_secrets(UpstreamRefused(403, headers, body, content_type=b"text/plain"), secrets("12345678"))
    assert (clean.status, clean.headers, clean.content_type) == (403, headers[:1], b"application/json")
    assert b"12345678" not in clean.body()
    assert json.loads(clean.body())["error"].keys() == {"message", "type", "param", "code"}


def test_a_refusal_that_repeats_none_is_the_same() -> None:
    refused = UpstreamRefused(403, ((b"x-request-id", b"req-1"),), b"No.", content_type=b"text/plain")
    assert without_secrets(refused, secrets(KEY)) is refused


@pytest.mark.parametrize(
    "event",
    [
        'data: {"error":{"message":"<%s>"}}\n\n',
        'event: error\ndata: {"message":"<%s>"}\n\n',
        'event:error\r\ndata: {"message":"<%s>"}\r\n\r\n',
        'error: {"message":"<%s>"}\n\n',
        'data: {"type":"error","message":"<%s>"}\n\n',
        'data: {"type":"response.failed","response":{"error":{"message":"<%s>"}}}\n\n',
    ],
)
def test_of_events_the_errors_are_cut_clean_and_a_text_stays_as_it_is(event: str) -> None:
    said = f'data: {{"choices":[{{"delta":{{"content":"error {KEY}"}}}}]}}\n\n'
    done = "data: [DONE]\n\n"
    clean = events_without_secrets((said + event % KEY + done).encode(), secrets(KEY))
    assert clean.decode() == said + event % "***" + done


def test_an_error_event_that_cannot_be_cut_is_replaced_by_one_of_ours() -> None:
    events = b'data: {"x":1}\n\ndata: {"error":{"code":12345678}}\n\n'
    clean = events_without_secrets(events, secrets("12345678"))
    assert clean.startswith(b'data: {"x":1}\n\nevent: error\ndata: {"error":')
    assert clean.endswith(b"}\n\n")
    assert b"12345678" not in clean


def test_a_secret_shows_none_of_itself() -> None:
    assert repr(secrets(KEY, PASSWORD)) == "<2 secrets>"


HOSTILE = {
    "the same again and again": KEY.encode() * (2**20 // len(KEY)),
    "its beginning": KEY[:PART].encode() * (2**20 // PART),
    "its end": KEY[-PART:].encode() * (2**20 // PART),
    "nearly": KEY[:-1].encode() * (2**20 // len(KEY)),
    "one letter": b"s" * 2**20,
    "short words": b"ka " * (2**20 // 3),
    "backslashes": b"\\u0073" * (2**20 // 6),
    "percent": b"%73" * (2**20 // 3),
    "all one token": b"=" * 2**20,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
def test_an_answer_of_a_mebibyte_does_not_hold_the_loop(data: bytes) -> None:
    given = secrets(KEY, "ka", "t0ken-of-some-length-and-more")
    assert_costs(lambda: given.cut_out_of(data), at_most=20)
    clean = given.cut_out_of(data)
    assert clean is None or KEY.encode() not in clean
