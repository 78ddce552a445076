"""Why an upstream gave no list of its models, for the administrator who asked."""

from __future__ import annotations

from dataclasses import replace

from ..answers.redaction import without_secrets
from ..answers.refusal import redirected
from ..answers.upstream_errors import error_in_body
from ..causes import Cause, one_line
from ..config import Settings, Upstream
from ..errors import UpstreamError
from ..http.headers import named_headers
from ..upstream.list_request import ListRefused
from ..upstream.sent_secrets import Secrets
from ..upstream.words import Words, in_words, kept

LIST_PATH = "/models"


def explained(error: UpstreamError, upstream: Upstream, settings: Settings) -> UpstreamError:
    """The same failure, whose message says what failed and what to try; for nobody but administrators."""
    if isinstance(error, ListRefused):
        error.because(_cause(error))
        error = without_secrets(error, Secrets.sent(upstream, error.sent))
    if error.cause is not None:
        cause = kept(error.cause, all_messages=settings.log_upstream_messages)
        error.message = sentence(in_words(cause, upstream, LIST_PATH))
    return error


def sentence(words: Words) -> str:
    said = f"{words.said[:1].upper()}{words.said[1:]}".rstrip(".")
    end = "" if said.endswith("?") else "."
    return f"{said}{end} {words.advice[:1].upper()}{words.advice[1:]}." if words.advice else f"{said}{end}"


def _cause(error: ListRefused) -> Cause:
    """What the answer says, where it is shaped as the API's errors are: pages of proxies say nothing worth telling."""
    answer = error.answer
    if 300 <= answer.status < 400:
        redirect = redirected(
            answer.status, named_headers([(name.lower(), value) for name, value in answer.headers])
        ).cause
        assert redirect is not None
        return redirect
    cause = Cause("status", status=answer.status)
    if answer.status < 400:
        return replace(cause, message="an answer without a list of models")
    said = error_in_body(answer.status, answer.body)
    if not said.is_shaped:
        return cause
    return replace(cause, type=said.type, param=said.param, code=said.code, message=one_line(said.message))
