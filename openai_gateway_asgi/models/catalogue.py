"""The immutable snapshot of all models that a caller's requests are answered from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from ..api.default_models import DefaultModel
from ..config import Upstream
from ..errors import DO_NOT_RETRY, GatewayError, ModelListUnavailable, ModelNotFound, Unauthenticated
from ..http.whole_answers import Pieces
from .merged import MergedModels, Route
from .model import Model
from .prefix import upstream_id

MOST_NAMED = 10
"""Upstreams that one line of the log names."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An upstream whose list is not there: what it serves is not known."""

    upstream: Upstream
    until: float
    """In seconds of ``time.monotonic``: until then its list may come in a moment, and nothing is said to be unknown."""
    refusal: GatewayError | None = None
    """What the caller's own credential met, where it is the caller's own list."""

    def carries(self, id: str) -> bool:
        return upstream_id(self.upstream.prefix_id, id) is not None


class Catalogue:
    """What one caller is told of all models at one moment.

    ``gaps`` are the upstreams whose list is missing, ``closed`` those that are called with the caller's own token, and
    this caller has none.
    """

    __slots__ = ("_closed", "_gaps", "_models", "_retry_after", "find", "merged")

    def __init__(
        self,
        merged: MergedModels,
        *,
        gaps: Sequence[Gap] = (),
        closed: Sequence[Upstream] = (),
        retry_after: int = 1,
        models: Sequence[Model] | None = None,
    ) -> None:
        """``retry_after`` are the seconds until the lists that are missing are asked for again; ``models`` is what it
        shows, where that has been put together."""
        self.merged = merged
        self._gaps = tuple(gaps)
        self._closed = tuple(closed)
        self._retry_after = retry_after
        self._models = models
        self.find: Callable[[str], Route | None] = merged.find

    @property
    def models(self) -> Sequence[Model]:
        """What ``GET /models`` shows."""
        return self.merged.all if self._models is None else self._models

    def showing(self, models: Sequence[Model]) -> Catalogue:
        """The same for one request, with what has been put together for it."""
        return Catalogue(
            self.merged, gaps=self._gaps, closed=self._closed, retry_after=self._retry_after, models=models
        )

    def encoded(self, models: Sequence[Model]) -> Pieces:
        """The answer to ``GET /models`` for somebody who sees these of its models."""
        return self.merged.encoded(models)

    def missing(self, id: str, default: DefaultModel | None = None) -> GatewayError:
        """What a caller is told of a model that is unknown, or not theirs: the two must look the same.

        ``default``: where the request named none, and this one is the API's.
        """
        gaps = [gap for gap in self._gaps if gap.carries(id)]
        now = monotonic()
        if any(now < gap.until for gap in gaps if gap.refusal is None):
            return ModelListUnavailable(
                "The models of an upstream are not known yet; try again shortly.",
                param="model",
                headers=((b"retry-after", b"%d" % self._retry_after),),
            )
        refusal = next((gap.refusal for gap in gaps if gap.refusal is not None), None)
        if refusal is not None:
            return refusal.anew()
        if any(upstream_id(upstream.prefix_id, id) is not None for upstream in self._closed):
            return Unauthenticated("This model is called with your own bearer token, and the request has none.")
        lacking = "" if default is None else "The request names no model, so the default is meant. "
        error = ModelNotFound(
            f"{lacking}The model `{id}` does not exist or you do not have access to it.",
            param="model",
            headers=DO_NOT_RETRY,
        )
        if gaps:
            error.host_advice = _advice([gap.upstream.name for gap in gaps])
        return error


def _advice(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    missing = ", ".join(map(repr, names[:MOST_NAMED])) + more
    return (
        f"a model was not found while the model list of {missing} is missing. If it is theirs, its callers get a 404 "
        "until the list comes, or until model_ids name it."
    )
