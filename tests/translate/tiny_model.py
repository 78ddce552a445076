"""A tiny llama with random weights, as a GGUF file (github.com/ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGNED = 32
EMBEDDED, HEADS, FEED, CONTEXT = 32, 4, 64, 1024
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Types of tokens."""


def write_model(path: Path) -> None:
    tokens = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    tokens += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    tokens += [(f"▁{letter}", NORMAL) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tensors = _tensors(len(tokens))
    pairs: list[tuple[str, int, Any]] = [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "tiny"),
        ("llama.context_length", UINT32, CONTEXT),
        ("llama.embedding_length", UINT32, EMBEDDED),
        ("llama.block_count", UINT32, 1),
        ("llama.feed_forward_length", UINT32, FEED),
        ("llama.rope.dimension_count", UINT32, EMBEDDED // HEADS),
        ("llama.attention.head_count", UINT32, HEADS),
        ("llama.attention.head_count_kv", UINT32, HEADS),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [text for text, _ in tokens])),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, [0.0] * len(tokens))),
        ("tokenizer.ggml.token_type", ARRAY, (INT32, [kind for _, kind in tokens])),
        ("tokenizer.ggml.bos_token_id", UINT32, 1),
        ("tokenizer.ggml.eos_token_id", UINT32, 2),
        ("tokenizer.ggml.unknown_token_id", UINT32, 0),
    ]
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(pairs))]
    head += [_text(name) + struct.pack("<I", kind) + _value(kind, value) for name, kind, value in pairs]
    at = 0
    for name, shape in tensors:
        head.append(_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape))
        head.append(struct.pack("<IQ", 0, at))
        at += _padded(4 * _count(shape))
    whole = b"".join(head)
    whole += b"\0" * (_padded(len(whole)) - len(whole))
    draw = random.Random(7)
    for name, shape in tensors:
        flat = name.endswith("norm.weight")
        data = struct.pack(f"<{_count(shape)}f", *(1.0 if flat else draw.gauss(0, 0.4) for _ in range(_count(shape))))
        whole += data + b"\0" * (_padded(len(data)) - len(data))
    path.write_bytes(whole)


def _tensors(tokens: int) -> list[tuple[str, tuple[int, ...]]]:
    square, block = (EMBEDDED, EMBEDDED), "blk.0."
    return [
        ("token_embd.weight", (EMBEDDED, tokens)),
        ("output_norm.weight", (EMBEDDED,)),
        ("output.weight", (EMBEDDED, tokens)),
        (f"{block}attn_norm.weight", (EMBEDDED,)),
        *((f"{block}attn_{part}.weight", square) for part in ("q", "k", "v", "output")),
        (f"{block}ffn_norm.weight", (EMBEDDED,)),
        (f"{block}ffn_gate.weight", (EMBEDDED, FEED)),
        (f"{block}ffn_up.weight", (EMBEDDED, FEED)),
        (f"{block}ffn_down.weight", (FEED, EMBEDDED)),
    ]


def _count(shape: Iterable[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _padded(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _text(value)
    if kind == ARRAY:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(_value(inner, each) for each in values)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f"}[kind], value)
