"""``multipart/form-data`` (RFC 7578): read in a stream, strictly, and written anew with a framing of our own.

``Upload`` is the whole of it for one request. Below it, without I/O: ``Parser`` cuts a body into parts, ``Form`` holds
them against the rules, ``Emitter`` writes them. Leniency is where upstreams differ from one another, and so from us:
what two of them could read differently is refused, and what is sent on is only what our own reading found.
"""

from .emitter import NO_EDITS, Addition, Edits, Emitter
from .form import Form, Rules
from .headers import Part, boundary_of
from .limits import Limits
from .parser import Event, Parser, PartEnd
from .shares import Share, Shares
from .upload import Sending, Upload

__all__ = [
    "NO_EDITS",
    "Addition",
    "Edits",
    "Emitter",
    "Event",
    "Form",
    "Limits",
    "Parser",
    "Part",
    "PartEnd",
    "Rules",
    "Sending",
    "Share",
    "Shares",
    "Upload",
    "boundary_of",
]
