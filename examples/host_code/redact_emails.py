"""E-mail addresses stay at home: models see ``<email-1>``, and their answers say the address again, streamed or not.

python -m examples.host_code.redact_emails
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import httpx

from examples.local_upstream import create_app
from openai_gateway_asgi import Filter, FilterCall, FilterEvent, Gateway, Upstream, User, everyone

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
STAND_IN = re.compile(r"<email-\d+>")
BEGUN = re.compile(r"<(?:e(?:m(?:a(?:i(?:l(?:-\d*)?)?)?)?)?)?$")
"""The beginning of one, at the end of a piece of text: models cut their words anywhere."""


def take_out(call: FilterCall) -> None:
    """Before the call: each address becomes a stand-in, the same one everywhere."""
    stand_ins: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        return stand_ins.setdefault(found[0], f"<email-{len(stand_ins) + 1}>")

    call.change_texts(lambda text: ADDRESS.sub(stand_in, text))
    call.notes["addresses"] = {stand_in: address for address, stand_in in stand_ins.items()}


def put_back(call: FilterCall, event: FilterEvent) -> Iterator[FilterEvent]:
    """On the way down: a stand-in may come in several events, so its beginning is held until the rest is there."""
    addresses: dict[str, str] = call.notes["addresses"]

    def whole(text: str) -> str:
        return STAND_IN.sub(lambda found: addresses.get(found[0], found[0]), text)

    def piece(text: str) -> str:
        text = call.state.pop("held", "") + text
        if begun := BEGUN.search(text):
            call.state["held"] = begun[0]
            text = text[: begun.start()]
        return whole(text)

    if not addresses:
        yield event
    elif goes_on(event):
        call.state["last"] = event
        yield event.with_texts(piece)
    else:
        if held := call.state.pop("held", ""):  # it was no stand-in after all
            yield call.state["last"].with_texts(lambda _: held)
        yield event.with_texts(whole)


def goes_on(event: FilterEvent) -> bool:
    """Whether its text is a piece of a longer one."""
    return event.kind == "event" and (event.name.endswith(".delta") if event.name else any(event.texts()))


redact_emails = Filter(before=take_out, event=put_back)


async def main() -> None:
    upstream = httpx.ASGITransport(create_app())
    gateway = Gateway(
        [Upstream("http://local.test/v1", api_key="sk-local")],
        authorize_model=everyone,
        filters=[redact_emails],
        transport=upstream,
    )
    async with gateway.lifespan():
        client = gateway.openai(User(id="ada"))
        stream = await client.chat.completions.create(
            model="tiny-chat", messages=[{"role": "user", "content": "Write to ada@example.org"}], stream=True
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="")
        print()


if __name__ == "__main__":
    asyncio.run(main())
