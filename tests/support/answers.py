"""The answers of a fake upstream."""

from openai_gateway_asgi.testing.answers import *  # noqa: F403
