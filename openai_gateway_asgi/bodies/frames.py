"""Objects of which it matters what else stands in them: items of the Responses API, tools, what is stored by an id."""

from __future__ import annotations

from ..api.default_models import IMAGE_TOOL
from .named_fields import FUNCTIONS, LOOKED_UP, NEVER_EMPTY, SAID_BY, SAYING
from .walk import Frame, Walk


def judge_item(walk: Walk, item: Frame) -> None:
    """An item that has an id and nothing that it says is looked up by it, under the key that all share."""
    if "id" not in item.said:
        return
    for kind in item.kinds or ({"message": item.at} if "role" in item.said else {"": item.at}):
        if kind in LOOKED_UP:
            walk.found.item(walk.place(item.kinds[kind]))
        elif not (item.said - item.silent - (item.empty if kind in NEVER_EMPTY else set())).intersection(
            SAID_BY.get(kind, SAYING if kind else ())
        ):
            walk.found.item(walk.place(item.at))


def judge_tool(walk: Walk, tool: Frame) -> None:
    """The ``parameters`` of a function are a schema, where names are only names; those of other tools are settings."""
    if tool.withheld is not None and not FUNCTIONS.issuperset(tool.kinds):
        walk.found.merge(tool.withheld)


def judge_responses_tool(walk: Walk, tool: Frame) -> None:
    """The same where the tool that makes images has a default."""
    judge_tool(walk, tool)
    if IMAGE_TOOL in tool.kinds and ("model" not in tool.said or "model" in tool.silent):
        walk.found.defaults.setdefault(IMAGE_TOOL, walk.place(tool.at))


def judge_holder(walk: Walk, holder: Frame) -> None:
    """What has an id is stored; found where it stands."""
