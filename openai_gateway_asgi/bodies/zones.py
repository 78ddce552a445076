"""The table of named fields as the scanner walks by it: in each zone, what is done about which key."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from ..api.route_fields import KNOWN
from .frames import judge_holder, judge_item, judge_responses_tool, judge_tool
from .named_fields import (
    BELOW,
    COUNTING,
    FIELDS,
    INSIDE,
    ITEMS_AT,
    OWN_SERVERS,
    PANELS,
    SAYING,
    SOURCES,
    VARIABLES,
    Field,
    Place,
    What,
)
from .walk import LIST, NULL, OBJECT, OTHER, TEXT, Frame, Walk

Action = Callable[[Walk, int], "Zone | None"]
"""What is done about a key: takes where its value stands, gives the zone of what is in that, None for the usual one."""


class Zone:
    """What counts in an object, and in a list whose elements it has."""

    __slots__ = ("_ends", "_starts", "below", "default", "each", "judge", "names", "tails", "withheld")

    def __init__(self, below: Zone | None = None, *, like: Zone | None = None) -> None:
        """``like``: the zone whose names count here too, those included that it gets later."""
        self.below = below or self
        """The zone of the objects and lists inside."""
        self.names: dict[bytes, Action] = {} if like is None else like.names
        self._starts: dict[bytes, Action] = {} if like is None else like._starts
        self._ends: dict[bytes, Action] = {} if like is None else like._ends
        self.tails: bool = like is not None and like.tails
        """Whether there are keys that are known by their beginning or end."""
        self.default: Action | None = None
        """For all other keys."""
        self.each: Callable[[Walk, int, int], None] | None = None
        """For what stands in a list, from where to where, and is no object; of a list only its beginning is known."""
        self.judge: Callable[[Walk, Frame], None] | None = None
        """For an object of which it matters what else stands in it, at its end."""
        self.withheld = False
        """Whether what is found inside counts only if the object around it says so."""

    def add(self, name: str, action: Action) -> None:
        key = name.encode()
        if key.startswith(b"*") or key.endswith(b"*"):
            self.tails = True
            (self._ends if key.startswith(b"*") else self._starts)[key.strip(b"*")] = action
        else:
            self.names[key] = _both(self.names[key], action) if key in self.names else action

    def add_all(self, other: Zone) -> None:
        """The names that count in another zone, those that it has by now."""
        self.names.update(other.names)
        self._starts.update(other._starts)
        self._ends.update(other._ends)
        self.tails = self.tails or other.tails

    def by_tail(self, key: bytes) -> Action | None:
        for end, action in self._ends.items():
            if key.endswith(end):
                return action
        for start, action in self._starts.items():
            if key.startswith(start):
                return action
        return None

    def action(self, key: bytes) -> Action | None:
        return self.names.get(key) or (self.by_tail(key) if self.tails else None)


NO_NAMES = Zone()
"""Where nothing counts."""


@lru_cache(maxsize=1024)
def zone_of(operation: str, more_routes: frozenset[str] = frozenset()) -> Zone:
    """The zone of the top of a body; ``more_routes`` are refused beside those of the table."""
    zones = {place: Zone() for place in Place}
    for place, below in BELOW.items():
        zones[place].below = zones[below]
    zones[Place.ITEM].judge = judge_item
    zones[Place.TOOLS].judge = judge_responses_tool if operation in ITEMS_AT else judge_tool
    for row in FIELDS:
        for place in row.places:
            zones[place].add(row.name, _action(row, place, zones[Place.BELOW]))
    for name in {*KNOWN.exact, *(f"{start}*" for start in KNOWN.starts), *more_routes}:
        for place in (Place.TOP, Place.EXTRA):
            zones[place].add(name, _route)
    begun: set[tuple[str, Place]] = set()
    for name, places, other in INSIDE:
        for place in places - {Place.NOWHERE}:
            if (name, place) not in begun:
                begun.add((name, place))
                zones[place].add(name, _begin(other, zones[other]))
    _add_holders(zones)
    _add_items(zones, ITEMS_AT.get(operation))
    _add_settings(zones[Place.TOOLS])
    return zones[Place.TOP]


def _add_holders(zones: dict[Place, Zone]) -> None:
    """Inside of what is stored the same names count as below, its own fields besides."""
    below, rows = zones[Place.BELOW], [row for row in FIELDS if row.what in (What.HOLDER, What.EITHER)]
    held = {row.group: Zone(below) for row in rows}
    for row in rows:
        for place in row.places:
            zones[place].add(row.name, _holder(held[row.group]))
    for group, zone in held.items():
        zone.add_all(below)
        zone.add("id", _id_of(group))
        zone.add(VARIABLES, _quiet(zones[Place.VARIABLES]))
        zone.judge = judge_holder


def _add_items(zones: dict[Place, Zone], field: str | None) -> None:
    if field is None:
        return
    listed = Zone(zones[Place.ITEM])
    listed.each = _no_item
    for place in (Place.TOP, Place.EXTRA):
        zones[place].add(field, _enter(listed))
    for name in SAYING | {"id", "role"}:
        zones[Place.ITEM].add(name, partial(_note, name))


def _add_settings(tools: Zone) -> None:
    settings = Zone(tools, like=tools)
    settings.judge, settings.withheld = tools.judge, True
    tools.add("parameters", _enter(settings))
    tools.add("model", partial(_note, "model"))


def _action(row: Field, place: Place, below: Zone) -> Action:
    match row.what:
        case What.CALLED | What.HOLDER:
            return _nothing
        case What.MODEL:
            return _model
        case What.MODELS:
            return _models
        case What.MODELS_INSIDE:
            return _models_inside
        case What.OBJECT | What.EITHER:
            return _object(row.group, below)
        case What.ROUTE:
            return _route
        case What.SERVER:
            return _server
        case What.TYPE:
            return _BY_PLACE[place]


# The actions


def _enter(zone: Zone) -> Action:
    return lambda walk, at: zone


def _begin(place: Place, zone: Zone) -> Action:
    if place in COUNTING:
        return _enter(zone)
    return _notes(zone) if place is Place.METADATA else _quiet(zone)


class _quiet:  # noqa: N801 - an action, as the functions beside it
    """Where names are only names. Whoever writes it in other letters has not said so, and names count."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def __call__(self, walk: Walk, at: int) -> Zone:
        return self._zone


class _notes(_quiet):  # noqa: N801
    """LiteLLM takes a text that is JSON for what stands in it (litellm_pre_call_utils.py)."""

    def __call__(self, walk: Walk, at: int) -> Zone:
        if walk.kind_at(at) == TEXT:
            text = walk.text_at(at)
            if text is None or text.lstrip()[:1] == "{":
                walk.found.wrong_type(walk.place(at), "object")
        return self._zone


def is_quiet(action: Action) -> bool:
    return isinstance(action, _quiet)


def _both(first: Action, second: Action) -> Action:
    def both(walk: Walk, at: int) -> Zone | None:
        one, other = first(walk, at), second(walk, at)
        return one or other

    return both


def _nothing(walk: Walk, at: int) -> Zone | None:
    """It only has to be written so."""
    return None


def _model(walk: Walk, at: int) -> Zone | None:
    kind = walk.kind_at(at)
    if kind == TEXT:
        _take_model(walk, at)
    elif kind != NULL:
        walk.found.wrong_type(walk.place(at), "str")
    return None


def _take_model(walk: Walk, at: int) -> None:
    walk.found.model(walk.text_at(at) or "", walk.place(at))


def _models(walk: Walk, at: int) -> Zone | None:
    kind = walk.kind_at(at)
    if kind == LIST:
        return _LIST_OF_MODELS
    if kind != NULL:
        walk.found.wrong_type(walk.place(at), "array")
    return None


def _models_inside(walk: Walk, at: int) -> Zone | None:
    if walk.kind_at(at) == TEXT:
        _take_model(walk, at)
    return _MODELS_INSIDE


def _each_text(walk: Walk, at: int, end: int) -> None:
    if not walk.is_known(at, end) and walk.kind_at(at) == TEXT:
        _take_model(walk, at)


def _each_model(walk: Walk, at: int, end: int) -> None:
    if walk.is_known(at, end):
        return
    if walk.kind_at(at) == TEXT:
        _take_model(walk, at)
    else:
        walk.found.wrong_type(walk.place(at), "str")


_LIST_OF_MODELS = Zone()
_LIST_OF_MODELS.each = _each_model
_MODELS_INSIDE = Zone()
_MODELS_INSIDE.default, _MODELS_INSIDE.each = _models_inside, _each_text


def _object(group: str, below: Zone) -> Action:
    ids = Zone(below, like=below)

    def each(walk: Walk, at: int, end: int) -> None:
        if group not in walk.found.beyond and walk.kind_at(at) in (TEXT, OTHER):
            walk.found.object(group, walk.place(at))

    def action(walk: Walk, at: int) -> Zone | None:
        kind = walk.kind_at(at)
        if kind in (TEXT, OTHER) or (kind == LIST and walk.kind_of_first(at) in (TEXT, OTHER)):
            walk.found.object(group, walk.place(at))
        return ids if kind == LIST else None

    ids.each = each
    return action


def _holder(holding: Zone) -> Action:
    listed = Zone(holding)
    zones = {OBJECT: holding, LIST: listed}
    return lambda walk, at: zones.get(walk.kind_at(at))


def _id_of(group: str) -> Action:
    def action(walk: Walk, at: int) -> Zone | None:
        if walk.kind_at(at) != NULL and not walk.is_empty(at) and walk.frame is not None:
            walk.found.object(group, walk.place(walk.frame.at))
        return None

    return action


def _route(walk: Walk, at: int) -> Zone | None:
    walk.found.route(walk.key.decode(), walk.place(at))
    return None


def _note(name: str, walk: Walk, at: int) -> Zone | None:
    if walk.frame is not None:
        walk.frame.note(name, null=walk.kind_at(at) == NULL, empty=walk.is_empty(at))
    return None


def _kind(walk: Walk, at: int) -> Zone | None:
    if walk.frame is not None:
        text = walk.text_at(at) if walk.kind_at(at) == TEXT else None
        walk.frame.kinds[text or "?"] = at
    return None


def _panel(walk: Walk, at: int) -> Zone | None:
    route = PANELS.get(walk.text_at(at) or "") if walk.kind_at(at) == TEXT else None
    if route is not None:
        walk.found.route(route, walk.place(at))
    return None


def _server(walk: Walk, at: int) -> Zone | None:
    if walk.kind_at(at) == TEXT:
        url = walk.text_at(at)
        for route in OWN_SERVERS:
            if url is None or url.strip().lower().startswith(route):
                walk.found.route(route, walk.place(at))
    return None


def _source(walk: Walk, at: int) -> Zone | None:
    group = SOURCES.get(walk.text_at(at) or "") if walk.kind_at(at) == TEXT else None
    if group is not None:
        walk.found.object(group, walk.place(at))
    return None


_BY_PLACE = {Place.ITEM: _kind, Place.TOOLS: _both(_kind, _panel), Place.SOURCE: _source, Place.PLUGINS: _panel}


def _no_item(walk: Walk, at: int, end: int) -> None:
    """Who cannot tell what stands among items cannot tell what they name."""
    if "responses" not in walk.found.beyond:
        walk.found.object("responses", walk.place(at))
