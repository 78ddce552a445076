"""A ``curl`` command as the request that it sends."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path
from urllib.parse import urlsplit

FORM = "application/x-www-form-urlencoded"
DATA = ("-d", "--data", "--data-ascii", "--data-binary", "--data-raw")
IGNORED = frozenset(
    "-s --silent -S --show-error -i --include -v --verbose -k --insecure -L --location -N --no-buffer --compressed -f "
    "--fail --fail-with-body -sS -sN -iN".split()
)
IGNORED_WITH_VALUE = frozenset("-o --output -m --max-time --connect-timeout --retry -w --write-out".split())


class NotUnderstood(Exception):
    """The text says what of the command is not understood, never its values."""


def request_of(command: str) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path with its query, headers by lower-case names, body. Raises ``NotUnderstood``."""
    try:
        words = shlex.split(command.replace("\\\n", " "))
    except ValueError as error:
        raise NotUnderstood(f"the command's quotes do not match: {error}") from None
    found = _Command()
    rest = iter(words[1:])
    for word in rest:
        name, value = _split(word)
        if name in IGNORED:
            continue
        if not name.startswith("-"):
            found.url = word
            continue
        taken = value if value is not None else next(rest, None)
        if taken is None:
            raise NotUnderstood(f"{name} has no value")
        if name not in IGNORED_WITH_VALUE:
            found.take(name, taken)
    return found.request()


def _split(word: str) -> tuple[str, str | None]:
    """An option and what is written together with it, as ``-XPOST``."""
    if word.startswith("--"):
        name, given, value = word.partition("=")
        return name, value if given else None
    if word.startswith("-") and word not in IGNORED and len(word) > 2 and word[:2] in ("-X", "-H", "-d", "-b", "-u"):
        return word[:2], word[2:]
    return word, None


class _Command:
    def __init__(self) -> None:
        self.url = ""
        self._method = ""
        self._headers: dict[str, str] = {}
        self._data: list[bytes] = []
        self._defaults: dict[str, str] = {}

    def take(self, name: str, value: str) -> None:
        if name in ("-X", "--request"):
            self._method = value
        elif name in ("-H", "--header"):
            header, _, content = value.partition(":")
            self._headers[header.strip().lower()] = content.strip()
        elif name == "--url":
            self.url = value
        elif name in DATA:
            self._data.append(_data(value, name))
            self._defaults["content-type"] = FORM
        elif name == "--json":
            self._data.append(_data(value, name))
            self._defaults |= {"content-type": "application/json", "accept": "application/json"}
        elif name in ("-b", "--cookie"):
            self._headers["cookie"] = value
        elif name in ("-u", "--user"):
            self._headers["authorization"] = f"Basic {base64.b64encode(value.encode()).decode()}"
        else:
            raise NotUnderstood(f"the option {name} is not understood; write the request as JSON instead")

    def request(self) -> tuple[str, str, dict[str, str], bytes]:
        url = urlsplit(self.url if "//" in self.url else f"//{self.url}")
        if not url.netloc:
            raise NotUnderstood("the command names no URL")
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"host": url.netloc.rpartition("@")[2], **self._defaults, **self._headers}
        return self._method or ("POST" if self._data else "GET"), path, headers, b"&".join(self._data)


def _data(value: str, name: str) -> bytes:
    """``@file`` is a file's content, as for curl; but for ``--data-raw``."""
    if not value.startswith("@") or name == "--data-raw":
        return value.encode()
    try:
        content = Path(value[1:]).read_bytes()
    except OSError as error:
        raise NotUnderstood(f"the file of {name} cannot be read: {error.strerror}") from None
    return content if name in ("--data-binary", "--json") else content.replace(b"\r", b"").replace(b"\n", b"")
