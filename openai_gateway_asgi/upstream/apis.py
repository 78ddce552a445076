"""Which API a call goes out in: the client's own, or the other one where the upstream lacks it for this model."""

from __future__ import annotations

import functools
import logging
from collections import OrderedDict
from collections.abc import Iterable, Set
from time import monotonic
from typing import NamedTuple

import msgspec

from ..api.conversations import API_OF, CHAT, COUNTED, OF_ONE_API, OPERATIONS, OTHER, RESPONSES
from ..bodies.payload import Payload
from ..config import Upstream
from ..config.apis import EITHER
from ..config.model_ids import ModelIds
from ..errors import GatewayError, NotFound, NotServed
from ..models import Candidate, Via
from ..presets.apply import with_parameters
from ..presets.plan import plan_of
from ..rewrites.reasoning import bare
from ..translate.dialect import Dialect
from ..translate.translation import Translation, to_chat, to_responses

logger = logging.getLogger("openai_gateway_asgi")

LEARNED_FOR = 600.0
"""Seconds that it is believed that an upstream lacks an API."""
MOST = 1_000
"""Upstreams, or models of theirs, of which that is remembered; the one that was learned first goes first."""

# Of api.openai.com. Source: developers.openai.com, the models' pages, and what Chat Completions answers for them.
RESPONSES_ALONE = ModelIds("codex-* computer-use-preview* gpt-5*-codex* gpt-5*-pro* o*-deep-research* o*-pro*".split())
"""Models that Chat Completions does not serve."""
NO_TOOLS_WITH_EFFORT = ModelIds("gpt-5.4* gpt-5.5*".split())
"""Models that take function tools on Chat Completions, unless a reasoning effort is asked for."""
NO_TOOLS_UNLESS_NONE = ModelIds("gpt-5.6* gpt-5.7* gpt-5.8* gpt-5.9* gpt-6*".split())
"""Models that take them there with the effort ``none`` alone."""

_NULL, _NONE = msgspec.Raw(b"null"), msgspec.Raw(b'"none"')
_NOTHING = (None, _NULL, msgspec.Raw(b"[]"))


class Lack(NamedTuple):
    """What an upstream does not have."""

    upstream: str
    """Its name."""
    model: str
    """Its id there; empty: of none of its models."""
    api: str


class Apis:
    """What upstreams say that they speak, what is known of them, and what refusals have told of the others."""

    def __init__(self) -> None:
        self.lacks: OrderedDict[Lack, float] = OrderedDict()
        """What was learned, and until when it is believed."""
        self._known: OrderedDict[Lack, None] = OrderedDict()
        """What was learned ever."""
        self._dialects: dict[str, tuple[Upstream, Dialect]] = {}
        self._entries: dict[str, Upstream] = {}

    def other(self, upstream: Upstream, model: str, api: str, payload: Payload, via: Via | None = None) -> str | None:
        """The API to translate a call of ``api`` to; None where it goes as it is. ``via``: the presets on the way to
        the model, which may ask for more than the client does.

        Where an upstream seems to have neither, its own answer says more than a guess.
        """
        spoken = upstream.surely_speaks or upstream.spoken_for(model)
        if spoken is None:
            if api == CHAT and upstream.is_openai and _needs_responses(bare(model), payload, via):
                return RESPONSES
            if not self.lacks:
                return None
            spoken = EITHER - self._learned(upstream.name, model)
        return OTHER[api] if api not in spoken and OTHER[api] in spoken else None

    def only_translates(self, candidate: Candidate, operation: str, payload: Payload, *, sticking: bool) -> bool:
        """Whether a call has to be translated for a candidate. ``sticking``: what was learned of it once is believed
        again, for the call cannot go as it is."""
        upstream, model, api = candidate.upstream, candidate.model_id, API_OF.get(operation)
        if api is None:
            return False
        if sticking and upstream.spoken_for(model) is None:
            for lack in (Lack(upstream.name, "", api), Lack(upstream.name, model, api)):
                if lack in self._known:
                    self.lacks[lack] = monotonic() + LEARNED_FOR
        return self.other(upstream, model, api, payload, candidate.via) is not None

    def translation(
        self,
        upstream: Upstream,
        model: str,
        operation: str,
        payload: Payload,
        *,
        public_id: str,
        via: Via | None = None,
    ) -> Translation | None:
        """How a call goes to an upstream in the API that this one has; None: as it is. ``via`` as above.

        Raises for what the upstream cannot be asked: ``InvalidRequest`` naming what its API has no word for,
        ``NotFound`` or ``NotServed`` for what belongs to the other API alone.
        """
        api = API_OF.get(operation)
        if api is None:
            if (needed := OF_ONE_API.get(operation)) is not None and not self._has(upstream, model, needed):
                raise _of_other_api(operation)
            return None
        other = self.other(upstream, model, api, payload, via)
        if other is None:
            return None
        if other == RESPONSES:
            return to_responses(payload, upstream, public_id)
        kept = self._dialects.get(upstream.name)
        if kept is None or kept[0] is not upstream:
            kept = self._keep_dialect(upstream)
        return to_chat(payload, upstream, public_id, kept[1])

    def _keep_dialect(self, upstream: Upstream) -> tuple[Upstream, Dialect]:
        if len(self._dialects) >= MOST:
            self._dialects.clear()
        kept = self._dialects[upstream.name] = (upstream, Dialect.of(upstream))
        return kept

    def _has(self, upstream: Upstream, model: str, api: str) -> bool:
        """Whether an upstream may have what only one API has."""
        spoken = upstream.spoken_for(model)
        return api in (EITHER - self._learned(upstream.name, model) if spoken is None else spoken)

    def learn(self, upstream: Upstream, model: str, api: str, *, of_model: bool) -> bool:
        """Notes that a call of ``api`` found nothing there; whether the other one is to be tried."""
        if upstream.spoken_for(model) is not None:
            return False
        lack = Lack(upstream.name, model if of_model else "", api)
        self.lacks[lack] = monotonic() + LEARNED_FOR
        self._known[lack] = None
        for kept in (self.lacks, self._known):
            kept.move_to_end(lack)
            if len(kept) > MOST:
                _ = kept.popitem(last=False)
        if OTHER[api] in self._learned(upstream.name, model):
            return False
        of = f"{model} of upstream {upstream.name}" if of_model else f"upstream {upstream.name}"
        logger.info("%s answers %s calls with a 404: they are translated for the next %d s", of, api, LEARNED_FOR)
        return True

    def forget(self, upstream: str) -> None:
        """The other API is not there either: the 404 was no sign of this."""
        self._forget({upstream})

    def keep_only(self, upstreams: Iterable[Upstream]) -> None:
        """Forgets what was of upstreams that a new configuration has no longer, or has otherwise."""
        self._dialects.clear()
        before, self._entries = self._entries, {upstream.name: upstream for upstream in upstreams}
        changed = {name for name, entry in before.items() if self._entries.get(name) != entry}
        self._forget(changed)

    def _forget(self, upstreams: Set[str]) -> None:
        for kept in (self.lacks, self._known):
            for lack in [lack for lack in kept if lack.upstream in upstreams]:
                del kept[lack]

    def _learned(self, upstream: str, model: str) -> Set[str]:
        now, found = monotonic(), set[str]()
        for api in EITHER:
            for lack in (Lack(upstream, "", api), Lack(upstream, model, api)):
                until = self.lacks.get(lack)
                if until is None:
                    continue
                if now < until:
                    found.add(api)
                else:
                    del self.lacks[lack]
        return found


def _of_other_api(operation: str) -> GatewayError:
    if operation in COUNTED:
        return NotServed("The upstream of this model has no Responses API, which alone does this.")
    return NotFound("There is no such object: its upstream does not keep any.")


def _needs_responses(model: str, payload: Payload, via: Via | None) -> bool:
    """Of a chat call to a model of OpenAI's."""
    alone, with_effort, unless_none = _refusals(model)
    if alone or not (with_effort or unless_none):
        return alone
    if via is not None:
        payload = with_parameters(payload, plan_of(via, OPERATIONS[CHAT]))
    fields = payload.outline
    if fields.get("tools") in _NOTHING and fields.get("functions") in _NOTHING:
        return False
    effort = fields.get("reasoning_effort")
    return effort != _NONE and (unless_none or effort not in (None, _NULL))


@functools.lru_cache(maxsize=256)
def _refusals(model: str) -> tuple[bool, bool, bool]:
    return model in RESPONSES_ALONE, model in NO_TOOLS_WITH_EFFORT, model in NO_TOOLS_UNLESS_NONE
