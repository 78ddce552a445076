"""What the layers know about one request."""

from __future__ import annotations

import copy
from asyncio import Task
from collections import deque
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, Literal

from starlette.requests import Request

from .api.default_models import TRANSCRIPTION_SESSION, DefaultModel
from .api.endpoints import Match
from .bodies.body_rules import lacking_model, only_transcribes, refused_route, session_model
from .bodies.findings import Findings, Reference
from .bodies.multipart import NO_EDITS, Edits, Upload
from .bodies.payload import NOTHING, Payload
from .config import GatewayConfig, Upstream
from .errors import GatewayError, ModelNotFound
from .host.observers import Watch
from .host.read_usage import UsageSearch
from .host.records import AttemptRecord
from .host.users import User
from .host.variables import Facts
from .http.asgi import NamedHeaders, RawHeaders, Scope
from .http.headers import as_checked
from .http.stages import Stage
from .http.timers import Clock
from .limits.estimate import input_tokens
from .limits.reservation import Reservation
from .models import Candidate, Catalogue, Model, Route, Via
from .translate.translation import Translation
from .upstream.credentials import Caller
from .upstream.request_body import NO_BODY, Body

TAIL = 4
"""How many pieces of an answer are kept: a finish reason, the usage and ``[DONE]`` may come one by one."""

PIECE = 4096
"""Bytes up to which reads make one piece, where they are parts of one answer or event: it may come byte by byte."""

KEY = "openai_gateway_asgi.exchange"


@dataclass(slots=True, repr=False)
class Exchange:
    """One request, from its arrival to its record.

    Fields without a default are set by the layer named beside them; to read one before that is an ``AttributeError``
    that names it. Mutable, because news flows up as well: which upstream served, and how it ended.
    """

    request_id: str
    method: str
    clock: Clock
    """The running event loop's; kept, because asking for the loop is a system call before Python 3.12."""
    arrived: float
    """In seconds of ``time.monotonic``, as all times here."""
    headers: RawHeaders
    """As they were at the door, but for the type of the body: a server may add trailers to the scope's own list while
    the body is read."""
    named: NamedHeaders
    """The same by name."""
    query: bytes
    scope: Scope
    """The request as the host's own callables see it."""
    given_user: User | None
    """Whom the host's own route has already let in (``gateway.response(user)``)."""
    checked_origin: bool
    """Whether that route has made sure that no other site's page asks."""
    outer: Exchange | None = None
    """The call of a model of the host's own that this one is a part of."""

    config: GatewayConfig = field(init=False)  # TakeConfig: one snapshot for the whole request
    match: Match = field(init=False)  # MatchEndpoint
    user: User = field(init=False)  # Authenticate
    caller: Caller = field(init=False)  # Authenticate
    payload: Payload = field(init=False)  # ReadPayload: empty where there is no JSON, and once a stream has begun
    model: str = field(init=False)  # ReadPayload: the id the client asked for; ResolveModel: or its default, or empty
    others: tuple[str, ...] = field(init=False)  # ReadPayload: more models that the body names
    references: tuple[Reference, ...] = field(init=False)  # ReadPayload: stored objects that the body names
    streams: bool = field(init=False)  # ReadPayload: whether the client asked for events
    catalogue: Catalogue = field(init=False)  # ResolveModel
    resolved: Model | None = field(init=False)  # ResolveModel: None where no model is named
    bases: tuple[Route, ...] | None = field(init=False)  # ResolveModel, then those allowed: the models behind a preset
    candidates: tuple[Candidate, ...] = field(init=False)  # ResolveModel: who serves it, in order
    fallbacks: tuple[Route, ...] = field(init=False)  # ResolveModel, then those allowed: CheckModelAccess
    served: Model | None = field(init=False)  # SelectUpstream, per attempt: the asked one, or a fallback
    upstream: Upstream = field(init=False)  # SelectUpstream, per attempt
    upstream_model: str = field(init=False)  # SelectUpstream, per attempt
    upstream_match: Match = field(init=False)  # SelectUpstream, per attempt: the client's, unless it is translated
    attempt_payload: Payload = field(init=False)  # SelectUpstream, per attempt: the client's, unless it is changed
    stages: tuple[Stage, ...] = field(init=False)  # SelectUpstream, per attempt: none; then whoever changes answers
    translation: Translation | None = field(init=False)  # SelectUpstream, per attempt: None where it goes as it is
    upstream_path: str = field(init=False)  # AdaptPayload, per attempt
    upstream_query: bytes = field(init=False)  # AdaptPayload, per attempt
    upstream_body: Body | AsyncIterable[bytes] = field(init=False)  # AdaptPayload, per attempt
    upstream_headers: RawHeaders = field(init=False)  # AttachCredential, per attempt

    via: Via | None = None
    """SelectUpstream, per attempt: the presets and defaults on the way to the model that is asked."""
    asked: str = ""
    """The id the client asked for, where a filter has put another into its place."""
    filters: tuple[Any, ...] = ()
    """The host's filters that concern the call (``extensions.filter_stage.Applied``), in the order of their list."""
    form_edits: Edits = NO_EDITS
    """What this attempt changes in a form on its way."""
    passed_unchanged: bool = False
    """Whether the answer was too long for its stages, and went out as it came."""
    context: Mapping[str, str] | None = None
    """The host's facts about this call, once they have been asked for."""
    model_at: tuple[str, ...] = ("model",)
    """Where in the JSON body the model stands; empty where it names none."""
    unnamed: tuple[str, ...] = ()
    """What the body asks for without naming its model, by the keys of the defaults (``api/default_models.py``)."""
    implied: tuple[str, ...] = ()
    """The models that are meant by it."""
    withheld: GatewayError | None = None
    """Why nobody may be asked in the client's own API, where it is only closed to the user what that looks up."""
    routes: tuple[str, ...] = ()
    """Fields that could choose another route, where some upstream takes them."""
    default_of: str = ""
    """Whose default is meant by a request that names no model, where it is not the operation's own."""
    default: DefaultModel | None = None
    """What the API, or the host, has for a request that names no model, where that is ``model``."""
    upload: Upload | None = None
    """The body, where it is a multipart form on its way."""
    opaque: bytes | None = None
    """The body, where it is neither JSON nor a form."""
    bodiless: bool = False
    """Whether there is no body at all."""
    attempts: int = 0
    status: int | None = None
    may_switch: bool = False
    """Whether this call has somebody else to ask, or the same upstream again, should the attempt at hand fail."""
    fails_over: bool = False
    """Whether the attempt at hand is given up when nothing has come of it within ``failover_after``."""
    held: float = 0.0
    """Seconds that went into streams which were held until they would be whole, and failed."""
    commit: Literal["told", "whole"] | None = None
    """Of a stream: whether anything was told before it was whole."""
    answered_since: float = 0.0
    """When an upstream first said that it would answer this call."""
    head_sent: bool = False
    early: bool = False
    """Whether the head went out before it was known whose answer it would be."""
    told: bool = False
    """Whether something of an upstream's answer went out: from then on no other one may be asked."""
    left: bool = False
    """Whether the client has left before it was."""
    finished: bool = False
    """Whether the answer is complete."""
    first_byte: float | None = None
    """When something of the answer itself was told."""
    shared: bool = False
    """Whether several clients take the answer: then it is settled elsewhere which of them take no bytes."""
    sse: bool = False
    at_boundary: bool = True
    """Whether what was sent of an event stream ends with a whole event."""
    tail: deque[bytes] = field(default_factory=partial(deque, maxlen=TAIL))
    """The last pieces of the answer as they came, where its usage and its proper end stand."""
    searched: UsageSearch | None = None
    """What was found in those that came before them, of a long answer."""
    usage_told: dict[str, Any] | None = None
    """What a whole answer was found to say of it, when it was judged."""
    unsent: bytes = b""
    """What the attempt at hand said and its client was not told, because it failed."""
    rest: bytes = b""
    """What had come of an event, or of a whole answer, when the client left."""
    delivered: int = 0
    """Bytes of events that its client was told."""
    finishing: Task[None] | None = None
    """What reads the answer to its end without its client; then the record waits for it."""
    sent_tokens: int | None = None
    """About how many the body has, once it is let go."""
    failed_below: bool = False
    """Whether what was raised came from below the host's layers."""
    failed_in_band: bool = False
    """Whether the answer ended with an error of the upstream's own, after something had been told."""
    upstream_request_id: str | None = None
    reservation: Reservation | None = None
    """What the call took from its limits, where it is under some."""

    recorded: bool = False
    """Whether there will be a record of it."""
    watch: Watch | None = None
    """Those who look on at it."""
    tries: tuple[AttemptRecord, ...] = ()
    """The attempts that have ended; those of a call that is not recorded only as far as they failed."""
    attempt_began: float | None = None
    """When the attempt at hand began; None while none is under way."""
    answered: float | None = None
    """When the head of its answer came."""
    upstream_status: int | None = None
    """What it said."""
    queued: float = 0.0
    """Seconds that it waited: for its turn, for a place at an upstream, before another try."""
    admitting: float = 0.0
    """Seconds that went into who asks, and whether they may."""
    upstream_seconds: float = 0.0
    """That went into attempts which have ended."""
    attempt_headers: Sequence[tuple[bytes, bytes]] = ()
    """What those who look on want to be sent with it."""
    unasked: Payload = NOTHING
    """What it would have sent, had the gateway not asked for the usage of the stream."""

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id}: {self.method} {self.scope['path']}>"

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent again: of a form that is streamed, too much may have gone already."""
        return self.upload is None or self.upload.repeatable

    @property
    def is_of_events(self) -> bool:
        """Whether what came of an answer, told or not, is a stream's."""
        return self.sse or self.streams

    @property
    def is_job(self) -> bool:
        """Whether it makes something that stays, or goes on by itself: what must not be made twice."""
        background = self.payload.raw("background")
        return self.match.endpoint.makes or (background is not None and bytes(background) == b"true")

    @property
    def hops(self) -> tuple[str, ...]:
        """The ids on the way from what was asked for to the model that is asked first, for patterns of ids."""
        via = self.candidates[0].via if self.candidates else None
        return via.hops if via is not None else (self.model,) if self.model else ()

    @property
    def first_asked(self) -> Model | None:
        """The model whose candidates are asked first: the one asked for, or the first behind the preset."""
        return self.bases[0].model if self.bases else self.resolved

    @property
    def all_candidates(self) -> Sequence[Candidate]:
        """Those of the model, or of all models behind the preset, that is asked for."""
        return self.candidates if self.bases is None else [each for base in self.bases for each in base.candidates]

    def narrow(self, wanted: Callable[[Candidate], bool]) -> bool:
        """Leaves out the candidates that are not wanted, those of all models behind a preset; whether any is left."""
        if self.bases is None:
            self.candidates = tuple([each for each in self.candidates if wanted(each)])
        else:
            kept = [
                replace(base, candidates=left)
                for base in self.bases
                if (left := tuple([each for each in base.candidates if wanted(each)]))
            ]
            self.take_bases(tuple(kept))
        return bool(self.candidates)

    @property
    def ways_on(self) -> tuple[Route, ...]:
        """The models behind a preset, and those of every fallback."""
        return (*(self.bases or ()), *(way for route in self.fallbacks for way in route.ways))

    def take_bases(self, bases: tuple[Route, ...]) -> None:
        """The models behind the preset that was asked for, in the order in which they are asked."""
        self.bases = bases
        self.candidates = bases[0].candidates if bases else ()

    def take(self, found: Findings) -> None:
        """What the body was found to name, beside ``model``, which is known by now and is written anew where it stands.

        Raises ``InvalidRequest`` for a route that no upstream takes.
        """
        self.others = self._others(found) if found.models else ()
        self.references = found.references if found.groups else ()
        self.unnamed = tuple(found.defaults)
        for name, place in found.routes.items():
            if not self.config.takes_route(name):
                raise refused_route(name, str(place))
            self.routes += (name,)

    def _others(self, found: Findings) -> tuple[str, ...]:
        at = ".".join(self.model_at)
        named = found.models.items()
        return tuple([id for id, place in named if id != self.model or id in found.repeated or str(place) != at])

    def take_session(self, model_at: str) -> None:
        """The model of a realtime session, which the payload has."""
        self.model_at, self.model = session_model(self.payload, model_at)
        if not self.model and only_transcribes(self.payload):
            self.default_of = TRANSCRIPTION_SESSION

    def request(self) -> Request:
        """For the host's callables; its body is the gateway's to read."""
        return Request(self.scope)

    def tell_type(self, kind: bytes) -> None:
        """From here on the body is of this type, which was checked, to whoever reads it next."""
        sent = self.named[b"content-type"]
        if sent != kind and (told := as_checked(sent, kind)) != sent:
            self.headers = [(name, told if name == b"content-type" else value) for name, value in self.headers]

    def lacking_model(self) -> GatewayError:
        """What the caller is told who names no model, where it is looked for."""
        at = self.match.endpoint.model_at
        if self.upload is not None:
            return lacking_model(f"form field `{at}`", at)
        return lacking_model("query parameter `model`" if self.opaque is not None else f"field `$.{at}`", at)

    def missing_model(self) -> GatewayError:
        """What the caller is told of ``model`` where it is unknown, or not theirs: the two must look the same."""
        error = self.catalogue.missing(self.model, self.default)
        guessed = self.default is not None and not self.default.stated
        return self.lacking_model() if guessed and isinstance(error, ModelNotFound) else error

    def turn_to(self, served: Model | None, candidate: Candidate) -> None:
        """An attempt at a candidate begins: what the one before made of the request is forgotten."""
        self.served, self.upstream, self.upstream_model = served, candidate.upstream, candidate.model_id
        self.via, self.upstream_match, self.attempt_payload, self.stages = candidate.via, self.match, self.payload, ()
        self.translation = None
        self.form_edits, self.passed_unchanged = NO_EDITS, False

    def variables(self, secret: bytes | None) -> Facts:
        """What variables stand for in this attempt; ``secret`` hides users' ids."""
        operation = self.upstream_match.endpoint.operation
        return Facts(self.user, self.model, operation, self.context or {}, secret)

    def missing_base(self) -> GatewayError:
        """What the caller is told of a preset that they may call, and of which no base is there: nothing of these."""
        leaves = self.config.preset_book.leaves(self.model)
        told = [error for id in leaves if not isinstance(error := self.catalogue.missing(id), ModelNotFound)]
        error = told[0] if told else self.missing_model()
        error.host_advice = f"no upstream serves a base of preset {self.model!r}: {', '.join(leaves)}"
        return error

    def keep(self, piece: bytes, *, part: bool) -> None:
        """Keeps what was sent of the answer, until more has come; ``part`` if it goes on with what came before it."""
        tail = self.tail
        if part and tail and len(tail[-1]) < PIECE:
            tail[-1] += piece
            return
        if len(tail) == TAIL and self.recorded:
            self.searched = self.searched or UsageSearch(events=self.is_of_events)
            self.searched.look_at(tail[0])
        tail.append(piece)

    def begin_attempt(self) -> None:
        """Another one: what the last one said is counted by now."""
        self.tail.clear()
        self.unsent, self.searched, self.delivered = b"", None, 0
        self.usage_told = None

    def note_leaving(self) -> bool:
        """The client has gone: whether it has missed nothing."""
        self.left = not self.finished
        return self.finished

    def let_go_of_body(self) -> None:
        """Nobody else will be asked. A stream may be long, and the body large."""
        if self.recorded and self.sent_tokens is None:
            self.sent_tokens = input_tokens(self.payload)
        self.upstream_body = NO_BODY
        self.payload = self.attempt_payload = self.unasked = NOTHING
        if self.upload is not None:
            self.upload.settle()

    def fork(self) -> Exchange:
        """A copy for a call that may outlive this request."""
        return copy.copy(self)

    def learn(self, fork: Exchange) -> None:
        """Takes over what became of a fork: who served, and in how many attempts."""
        for name in (
            "served", "upstream", "upstream_model", "upstream_match", "via", "translation", "attempts",
            "upstream_request_id", "tries",
        ):  # fmt: skip
            if hasattr(fork, name):
                setattr(self, name, getattr(fork, name))

    of: ClassVar[Callable[[Scope], Exchange]] = staticmethod(itemgetter(KEY))
    """The exchange of a scope that came through the gateway. Every layer asks, so it costs no frame."""
