"""The prices of the package ``genai-prices`` (extra ``prices``)."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..errors import ConfigError
from .prices import Cost, Price, Priced, PriceTable
from .usage import Usage

_PROBES = (Usage(input=1000, output=1000), Usage(seconds=60.0), Usage(characters=1000))
"""One of each kind of unit that a model may have a price for."""


class GenaiPrices:
    """The prices of the package ``genai-prices`` (extra ``prices``), loaded in a thread: importing it takes 200 ms.

    ``table`` comes before them. A model that the package prices at nothing although it used something is unknown: it
    answers 0 where it has no price for a unit.
    """

    def __init__(self, table: Mapping[str, Price] | None = None) -> None:
        if importlib.util.find_spec("genai_prices") is None:
            raise ConfigError("prices", "genai_prices() needs the extra: pip install 'openai-gateway-asgi[prices]'")
        self._table = PriceTable({} if table is None else table)
        self._module: Any = None
        self._loading = threading.Thread(target=self._load, name="genai-prices", daemon=True)
        self._loading.start()

    def _load(self) -> None:
        self._module = importlib.import_module("genai_prices")

    @property
    def is_loaded(self) -> bool:
        return not self._loading.is_alive()

    async def loaded(self) -> None:
        """Waits until the prices are there; until then those of the table alone are known."""
        await asyncio.to_thread(self._loading.join)

    def cost(self, priced: Priced) -> Cost | None:
        own = self._table.cost(priced)
        if own is not None or self._module is None:
            return own
        usage = priced.usage
        given = {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cache_read_tokens": _within(usage.cached, usage.input),
            "cache_write_tokens": _within(usage.cache_write, usage.input),
            "input_audio_tokens": _within(usage.audio_input, usage.input),
            "output_audio_tokens": _within(usage.audio_output, usage.output),
            "audio_seconds": usage.seconds,
            "input_characters": usage.characters,
        }
        for model in priced.models:
            try:
                known = self._module.Usage(**{name: count for name, count in given.items() if count is not None})
                found = self._module.calc_price(known, model, provider_api_url=priced.base_url)
            except LookupError:
                found = self._anywhere(given, model)
            except Exception:
                found = None
            if found is not None and found.total_price and usage.images is None:
                return Cost(Decimal(found.total_price), "genai-prices")
        return None

    def _anywhere(self, given: Mapping[str, float | None], model: str) -> Any:
        """An upstream that the package does not know, serving a model that it knows: by its name alone, or as OpenAI's,
        of whose models it does not know all by their names."""
        return self._of_provider(given, model, None) or self._of_provider(given, model, "openai")

    def _of_provider(self, given: Mapping[str, float | None], model: str, provider: str | None) -> Any:
        try:
            known = self._module.Usage(**{name: count for name, count in given.items() if count is not None})
            return self._module.calc_price(known, model, provider_id=provider)
        except Exception:
            return None

    def known(self, priced: Priced) -> bool:
        return any(
            self.cost(Priced(priced.upstream, priced.base_url, priced.models, probe)) is not None for probe in _PROBES
        )


def genai_prices(table: Mapping[str, Price] | None = None) -> GenaiPrices:
    """Prices of some two thousand models, as the installed version of ``genai-prices`` knows them.

    ``table`` are prices of your own, which come first. Raises ``ConfigError`` without the extra ``prices``.
    """
    return GenaiPrices(table)


def _within(count: int | None, whole: int | None) -> int | None:
    return None if count is None or whole is None else min(count, whole)
