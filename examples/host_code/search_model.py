"""A model that answers from a SQLite table by full-text search: no provider has a part in it.

python -m examples.host_code.search_model
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import closing

from openai_gateway_asgi import Gateway, HostModel, ModelCall, Usage, User, everyone

PAGES = [
    ("Opening hours", "The library is open from nine to five, and on Saturdays until noon."),
    ("Cards", "A card costs nothing. Bring something that shows where you live."),
    ("Late books", "A book that is late costs ten cents a day."),
]


class Library:
    """Pages that can be searched. Each question opens its own connection, in a thread: SQLite blocks."""

    def __init__(self, path: str, pages: Iterable[tuple[str, str]]) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE VIRTUAL TABLE IF NOT EXISTS pages USING fts5(title, text, tokenize='porter')")
            database.executemany("INSERT INTO pages VALUES (?, ?)", pages)
            database.commit()

    async def answer(self, call: ModelCall) -> AsyncIterator[object]:
        question = str(call.messages[-1].get("content") or "")
        found = await asyncio.to_thread(self.search, question)
        if not found:
            yield "I have nothing about that."
        for title, text in found:
            yield f"{title}: "
            yield f"{text}\n"
        yield Usage(input=0, output=0)  # nobody is to be charged for it

    def search(self, question: str) -> list[tuple[str, str]]:
        """The pages that fit best. Words are quoted: what people ask is no query."""
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w{3,}", question))
        if not words:
            return []
        with closing(sqlite3.connect(self._path)) as database:
            return database.execute(
                "SELECT title, text FROM pages WHERE pages MATCH ? ORDER BY rank LIMIT 3", (words,)
            ).fetchall()


def create_gateway(path: str) -> Gateway:
    library = Library(path, PAGES)
    return Gateway(
        [], authorize_model=everyone, host_models=[HostModel("library", library.answer, name="Ask the library")]
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        await ask(create_gateway(f"{folder}/library.db"))


async def ask(gateway: Gateway) -> None:
    async with gateway.lifespan():
        client = gateway.openai(User(id="ada"))
        stream = await client.chat.completions.create(
            model="library", messages=[{"role": "user", "content": "Opening hours on Saturdays?"}], stream=True
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="")


if __name__ == "__main__":
    asyncio.run(main())
