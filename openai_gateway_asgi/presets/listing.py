"""Presets in lists of models: under their own names, and nothing of what is behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..config.presets import Preset
from ..models import Model, Route, in_order

_encode = msgspec.json.Encoder().encode


def preset_model(preset: Preset, first: Model | None) -> Model:
    """The preset as policies and lists see it; ``first`` is the first model behind it, where one is there."""
    entry: dict[str, Any] = {
        "id": preset.id,
        "object": "model",
        "created": 0,
        "owned_by": "openai",
        "name": preset.name or preset.id,
        "preset": True,
    }
    if preset.description:
        entry["description"] = preset.description
    if preset.tags:
        entry["tags"] = preset.tags
    return Model(
        id=preset.id,
        upstream="" if first is None else first.upstream,
        name=preset.name or preset.id,
        connection_type="external" if first is None else first.connection_type,
        tags=preset.tags,
        listed=not preset.hidden,
        listing=_encode(entry),
        is_preset=True,
        order=preset.order,
    )


def with_presets(
    models: Sequence[Model], presets: Sequence[Preset], find: Callable[[str], Route | None]
) -> Sequence[Model]:
    """The models that lists show: a preset stands in the place of the model that it is put in front of, else behind
    the models; those that have an order come first. One that nobody serves is left out, as a model is."""
    over: dict[str, Model | None] = {}
    for preset in presets:
        route = find(preset.id)
        there = route is not None and bool(route.bases) and not preset.hidden
        over[preset.id] = route.model if route is not None and there else None
    shown = [found for model in models if (found := over.pop(model.id, model)) is not None]
    shown += [model for model in over.values() if model is not None]
    return in_order(shown)
