"""One multipart request: read as far as a decision needs, then streamed from the client to one upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ...errors import RateLimited
from ...http.asgi import Message, Receive
from ...http.cancellation import Deadline
from .emitter import NO_EDITS, Edits, Emitter, new_boundary
from .form import Form, Rules
from .handover import Handover
from .headers import boundary_of
from .intake import Intake
from .shares import Share
from .spool import Spool

KEPT = 1024 * 1024
"""Bytes that are kept of what was sent, so that it can be sent again; a form that is longer is sent once."""

LOOK_AHEAD = 256 * 1024
"""Bytes read before a call goes upstream: a body that is shorter has been found good to its end by then."""


class Upload:
    """A form whose wanted field is known and whose files are on their way; made by ``open``.

    Whoever opened it must ``aclose`` it on every way out. It owns the request's ``receive`` until then.
    """

    def __init__(self, intake: Intake, spool: Spool, form: Form, rules: Rules, boundary: bytes, share: Share) -> None:
        self._kept: list[bytes] | None = []
        self._kept_size = 0
        self._share = share
        self._spool = spool
        self._fields = form.fields
        self._rules = rules
        self._boundary = boundary
        self._new_boundary = new_boundary()
        self._handover = Handover(intake, spool)
        self.disconnected = self._handover.disconnected
        """Set when the client has left, during the upload or after it."""

    @classmethod
    async def open(cls, receive: Receive, content_type: bytes, rules: Rules, share: Share) -> Upload:
        """Reads until the wanted field is known and a file has begun, and at least ``LOOK_AHEAD`` bytes or the whole.

        That a form has no wanted field is known at its end.

        What was read by then, a file included, is held: the first megabyte in memory, the rest in a temporary file, as
        far as the user's ``share`` goes. Raises ``InvalidRequest`` and its kin (400, 408, 413, 415), ``RateLimited``
        where the user's uploads hold too much, ``GatewayBusy`` or ``ClientDisconnected``.
        """
        boundary = boundary_of(content_type)
        intake, spool, form = Intake(receive, rules.limits), Spool(share), Form(boundary, rules)
        try:
            with Deadline() as deadline:
                while not (form.decided and intake.size >= LOOK_AHEAD) and (chunk := await intake.read(deadline)):
                    form.feed(chunk)
                    await spool.write(chunk)
                    if spool.full:
                        raise RateLimited(
                            "Your uploads that wait for the field `model` hold as much as this gateway keeps for one "
                            "user; send the field before the file, or fewer at one time.",
                            headers={"retry-after": "5"},
                        )
            if intake.finished:
                form.close()
        except BaseException:
            spool.close()
            raise
        return cls(intake, spool, form, rules, boundary, share)

    def field(self, name: str) -> bytes | None:
        """The value of a field that is no file, as far as it was read for ``open``; of several, the last."""
        return self._fields.get(name)

    @property
    def fields(self) -> Mapping[str, bytes]:
        """The values of all fields that were read for ``open``."""
        return self._fields

    @property
    def content_type(self) -> bytes:
        """The ``Content-Type`` of ``body``."""
        return b"multipart/form-data; boundary=" + self._new_boundary

    @property
    def repeatable(self) -> bool:
        """Whether ``body`` can begin again: nothing of it was taken so far, or so little that all of that is kept."""
        return self._kept is not None

    async def body(self, edits: Edits = NO_EDITS) -> AsyncIterator[bytes]:
        """The form written anew: the same parts in the same order, with ``edits``.

        All rules go on holding. Raises what ``open`` raises, and then what was yielded is no whole body. It may begin
        again while it is ``repeatable``, once the one before it has been closed.
        """
        if self._kept is None:
            raise RuntimeError("An upload of this size can be sent once.")
        form, emitter = Form(self._boundary, self._rules), Emitter(self._new_boundary, edits)
        for chunk in tuple(self._kept):
            if piece := emitter.encode(form.feed(chunk)):
                yield piece
        with Deadline() as deadline:
            while chunk := await self._handover.take(deadline):
                self._keep(chunk)
                if piece := emitter.encode(form.feed(chunk)):
                    yield piece
        form.close()
        yield emitter.closing

    def _keep(self, chunk: bytes) -> None:
        if self._kept is None:
            return
        self._kept.append(chunk)
        self._kept_size += len(chunk)
        self._share.hold(len(chunk))
        if self._kept_size > KEPT:
            self.settle()

    def settle(self) -> None:
        """It will not be sent again: what was kept of it can go."""
        if self._kept is not None:
            self._kept = None
            self._share.hold(-self._kept_size)

    async def receive(self) -> Message:
        """What inner layers get in place of the request's own: it tells the disconnect, and nothing else."""
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def aclose(self) -> None:
        """Stops reading and lets go of what was held, before it first waits. May be called twice."""
        self._kept = None
        self._spool.close()
        await self._handover.aclose()


class Sending:
    """An upload as one attempt sends it; each time that it is gone through, from its beginning."""

    def __init__(self, upload: Upload, edits: Edits = NO_EDITS) -> None:
        self._upload = upload
        self._edits = edits

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._upload.body(self._edits)
