"""What a model call costs, by the price lists of genai-prices. A model without a known price costs None, never a guess."""

from __future__ import annotations

from llm_gateway_nb.types import UsageEvent

__all__ = ["cost_of", "window_of"]

_NO_PRICES = frozenset(
    {"huggingface", "lmstudio", "local", "mlx", "ollama", "openai-compatible", "replay", "scripted", "vllm", "zen"}
)
"""Nobody charges by the token there, or nobody knows who would."""


def cost_of(usage: UsageEvent) -> float | None:
    """US dollars of one model call; None where the service or the model has no known price.

    Prices are those of today, of the version of genai-prices that is installed; nothing is fetched.
    """
    if usage.provider is None or usage.model is None or usage.provider in _NO_PRICES:
        return None
    # 0.1 s that only a run with prices pays.
    from genai_prices import Usage, calc_price

    counted = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_creation_tokens,
    )
    try:
        return float(calc_price(counted, usage.model, provider_id=usage.provider).total_price)
    except (LookupError, ValueError):  # not in the list; or counts that contradict each other
        return None


def window_of(provider: str | None, model: str | None) -> int | None:
    """How many tokens a model reads, as the same lists have it; None where they do not know."""
    if provider is None or model is None or provider in _NO_PRICES:
        return None
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, provider, None)[1].context_window
    except LookupError:
        return None
