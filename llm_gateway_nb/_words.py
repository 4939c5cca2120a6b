"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: float, what: str) -> str:
    """`1 second`, `2.5 seconds`: the number with the word for what it counts, which takes a plain s."""
    return f"{number:g} {what}" if number == 1 else f"{number:g} {what}s"
