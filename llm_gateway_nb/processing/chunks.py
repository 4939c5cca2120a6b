"""Long texts in pieces, cut where a reader would pause."""

from __future__ import annotations

__all__ = ["split_text"]

_PAUSES = ("\n\n", "\n", ". ", "? ", "! ", "; ", ", ", " ")
"""The best place to cut comes first."""


def split_text(text: str, size: int) -> list[str]:
    """Pieces of at most `size` characters, none of them blank, which hold all the words of `text` in their order."""
    pieces: list[str] = []
    rest = text.strip()
    while len(rest) > size:
        cut = _cut(rest, size)
        pieces.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return [piece for piece in [*pieces, rest] if piece]


def _cut(text: str, size: int) -> int:
    """Where to end the first piece: at the last good pause in its second half, else at any pause, else at `size`."""
    for least in (size // 2, 1):
        for pause in _PAUSES:
            at = text.rfind(pause, least, size)
            if at >= 0:
                return at + len(pause)
    return size
