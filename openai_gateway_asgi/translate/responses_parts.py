"""What the items of a Responses call say, part by part, as the parts of chat messages."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..bodies.outline import Fields
from ..bodies.parts import LARGE
from .fields import MOST, NULL, Raw, given, is_text, joined, missing, read, read_list, text_in, unsupported

TAKEN = frozenset("type text annotations logprobs image_url detail file_id file_data file_url filename refusal".split())
"""Members of parts that are said otherwise, or not at all."""


class TextPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What nearly all parts are, and nothing else: they are read all at once."""

    type: Literal["input_text", "output_text", "text"]
    text: Raw
    annotations: Raw = NULL
    logprobs: Raw = NULL


_TEXT_ALONE = {"type", "text"}
_read_texts = msgspec.json.Decoder(list[TextPart]).decode


def parts_of(content: Raw, at: str) -> list[dict[str, Any]]:
    if is_text(content):
        return [{"type": "text", "text": content}]
    texts = _texts_alone(content)
    if texts is not None:
        return [{"type": "text", "text": text} for text in texts]
    return [_part(part, f"{at}[{index}]") for index, part in enumerate(read_list({"": content}, "", at))]


def _texts_alone(content: Raw) -> list[Raw] | None:
    """The texts of parts that are nothing else, as nearly all are; None where they are to be looked at one by one."""
    if len(memoryview(content)) > LARGE:
        return None
    try:
        texts = [part.text for part in _read_texts(content)]
    except (msgspec.DecodeError, RecursionError):
        return None
    for text in texts:
        if not is_text(text):
            return None
    return texts if len(texts) <= MOST else None


def _part(part: Fields, at: str) -> dict[str, Any]:
    match read(part, "type", str, f"{at}."):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": text_in(part, "text", f"{at}."), **_kept(part)}
        case "refusal":
            return {"type": "refusal", "refusal": text_in(part, "refusal", f"{at}.")}
        case "input_image":
            url = given(part, "image_url")
            if url is None:
                raise unsupported(f"{at}.file_id", "a chat takes an image by its address or its data")
            detail = given(part, "detail")
            image = {"url": url, **({"detail": detail} if detail else {})}
            return {"type": "image_url", "image_url": image, **_kept(part)}
        case "input_file":
            if given(part, "file_url") is not None:
                raise unsupported(f"{at}.file_url", "a chat takes a file by its id or its data")
            file = {name: part[name] for name in ("file_id", "file_data", "filename") if given(part, name) is not None}
            return {"type": "file", "file": file, **_kept(part)}
        case kind:
            raise unsupported(f"{at}.type", f"a chat knows no part of the type {kind!r}")


def _kept(part: Fields) -> Fields:
    """What is called the same in both, as ``prompt_cache_breakpoint`` is, and what nobody knows."""
    return {name: value for name, value in part.items() if name not in TAKEN}


def simplest_of(content: Raw, at: str) -> Any:
    """Many servers take a text alone where there is nothing but one."""
    if is_text(content):
        return content
    parts = parts_of(content, at)
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == _TEXT_ALONE else parts


def output_of(output: Raw, at: str, *, images: bool) -> Any:
    """What a tool gave back."""
    if output == NULL:
        raise missing(at)
    if is_text(output):
        return output
    parts = parts_of(output, at)
    for index, part in enumerate(parts):
        if part["type"] != "text" and not images:
            raise unsupported(f"{at}[{index}].type", "a tool message of a chat is text")
    if any(part["type"] != "text" for part in parts):
        return parts
    return joined([part["text"] for part in parts]) if parts else ""
