"""What hosts test their apps with: a fake upstream, scripted by model or by call."""

from .answers import Answer, error_answer, json_answer, stream_answer
from .fake_upstream import FakeUpstream
from .requests import FakeRequest
from .scripts import Script

__all__ = ["Answer", "FakeRequest", "FakeUpstream", "Script", "error_answer", "json_answer", "stream_answer"]
