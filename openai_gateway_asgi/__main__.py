"""``python -m openai_gateway_asgi COMMAND``."""

import sys

from .commands import main

sys.exit(main(sys.argv[1:]))
