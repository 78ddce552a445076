"""Variables in prompts, headers and stamps: put in once, and nothing else is one."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from openai_gateway_asgi import ConfigError, User
from openai_gateway_asgi.config.templates import Template, from_origin
from openai_gateway_asgi.host.variables import Facts

ADA = User("42", role="admin", name="Ada Lovelace", email="ada@example.com", groups={"staff", "research"})
FACTS = Facts(ADA, "gpt-4o", "createChatCompletion", {"chat_id": "c7"}, b"secret")


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("Hello.", "Hello."),
        ("", ""),
        ("{user.name} <{user.email}> {user.id} {user.role}", "Ada Lovelace <ada@example.com> 42 admin"),
        ("{user.groups}", "research,staff"),
        ("{model} by {operation}", "gpt-4o by createChatCompletion"),
        ("{context.chat_id}{context.chat_id}", "c7c7"),
        ("[{context.other}]", "[]"),
        ("{date}", datetime.now(UTC).date().isoformat()),
        ("{user.id:hmac}", hmac.new(b"secret", b"42", hashlib.sha256).hexdigest()),
        ('{"user": "{user.name}", "x": {}}', '{"user": "Ada Lovelace", "x": {}}'),
        ("{{user.name}}", "{Ada Lovelace}"),
        ("{ user.name } {username} {users.name} {0} {} {a.b} {USER.NAME}", None),
        ("{system} {tools.user} {my.date}", None),
    ],
)
def test_a_text_is_rendered(text: str, rendered: str | None) -> None:
    assert Template(text, "system").render(FACTS) == (text if rendered is None else rendered)


@pytest.mark.parametrize(
    "text",
    ["{user}", "{user.password}", "{user.id:md5}", "{user.__class__}", "{context}", "{context.}", "{date.year}",
     "{model.secret}", "{operation:x}", "a {user.native} b", "{user.groups.0}", "{context.a/b}"],
)  # fmt: skip
def test_a_name_of_these_families_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no variable") as caught:
        Template(text, "presets.lawyer.system")
    assert caught.value.field == "presets.lawyer.system"


@pytest.mark.parametrize("name", ["{user.email}", "{context.chat_id}", "{{user.id:hmac}}", "{date}", "\\1", "%s"])
def test_what_a_user_is_called_is_never_a_variable(name: str) -> None:
    facts = Facts(User("42", name=name, email="secret@example.com"), "m", "op", {"chat_id": name}, b"s")
    assert Template("<{user.name}|{context.chat_id}>", "system").render(facts) == f"<{name}|{name}>"


def test_a_header_whose_context_is_missing_is_left_out() -> None:
    assert Template("{context.chat_id}", "headers").render_or_none(FACTS) == "c7"
    assert Template("chat {context.chat_id} of {context.team}", "headers").render_or_none(FACTS) is None
    assert Template("plain", "headers").render_or_none(FACTS) == "plain"


def test_whether_a_secret_is_needed_is_known_at_the_start() -> None:
    assert Template("{user.id:hmac}", "headers").needs_secret
    assert not Template("{user.id}", "headers").needs_secret


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("{{USER_NAME}}", "{user.name}"),
        ("id={{USER_ID}}; {{ USER_EMAIL }}", "id={user.id}; {user.email}"),
        ("{{CHAT_ID}}", "{context.chat_id}"),
        ("{{UNKNOWN}} {USER_NAME}", "{{UNKNOWN}} {USER_NAME}"),
    ],
)
def test_the_origins_spellings_are_rewritten(theirs: str, ours: str) -> None:
    assert from_origin(theirs) == ours
