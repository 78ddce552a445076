"""Whose value of a parameter wins, for whoever asks why a call goes as it goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ..bodies.payload import Payload
from .parameters import found, missing
from .plan import Plan, Setting

CLIENT = "the client"


class Winner(NamedTuple):
    name: str
    value: msgspec.Raw | None
    """None: none is sent."""
    by: str
    """Whose it is: the client's, a preset's, that of defaults."""
    locked: bool
    over: bool
    """Whether somebody else's was there as well."""


def winners(payload: Payload, plan: Plan) -> Iterator[Winner]:
    """Of each parameter that presets and defaults have a say in; ``payload`` is the client's own body."""
    null = msgspec.Raw(b"null")
    said = {name: raw for _, name, raw in found(payload, plan.lock_names)}
    for setting in plan.locks:
        theirs = [name for name in said if name in setting.names]
        if setting.at or theirs:
            name, value = (setting.at, setting.value) if setting.at else (theirs[0], None)
            yield Winner(name, value, setting.by, True, bool(theirs))
    said = {name: raw for _, name, raw in found(payload, plan.fill_names) if raw != null}
    for setting in plan.fills:
        theirs = [name for name in said if name in setting.names]
        if theirs:
            yield Winner(theirs[0], said[theirs[0]], CLIENT, False, True)
        else:
            yield Winner(setting.at, setting.value, setting.by, False, False)


def deciders(payload: Payload, plan: Plan) -> dict[str, str]:
    """By the path of what is changed in a body, who changes it; ``payload`` is the client's own body."""
    filled = missing(payload, plan.fills, plan.fill_names)
    told = {path: f"{setting.by}, params" for setting in filled for path in _paths(setting, setting.at)}
    told |= {
        path: f"{setting.by}, locked"
        for setting in plan.locks
        for name in (*sorted(setting.names), setting.at)
        for path in _paths(setting, name)
    }
    if plan.prompt is not None:
        told |= dict.fromkeys(("$.messages", "$.instructions"), "Preset.system")
    if plan.name is not None:
        told["$.model"] = "GatewayConfig.presets"
    return told


def _paths(setting: Setting, name: str) -> Iterator[str]:
    holder = name.partition(".")[0]
    if name:
        yield f"$.{name}"
    if name and holder != name and name == setting.at:
        yield f"$.{holder}"  # where the object has to be made
