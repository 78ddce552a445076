"""What hosts test their apps with: a scripted fake upstream, and clients that are pages of the app."""

from .answers import Answer, error_answer, json_answer, stream_answer
from .clients import OTHER_SITE, OWN_PAGE, browser
from .fake_upstream import FakeUpstream
from .requests import FakeFile, FakeRequest
from .scripts import Script

__all__ = [
    "OTHER_SITE",
    "OWN_PAGE",
    "Answer",
    "FakeFile",
    "FakeRequest",
    "FakeUpstream",
    "Script",
    "browser",
    "error_answer",
    "json_answer",
    "stream_answer",
]
