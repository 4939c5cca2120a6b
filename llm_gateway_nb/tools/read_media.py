"""Images and documents as content parts, told by what is in the file and not by its name."""

from __future__ import annotations

import base64
from typing import BinaryIO

from llm_gateway_nb.errors import ToolError
from llm_gateway_nb.types import DocumentContentPart, ImageContentPart

__all__ = ["media_type", "read_media"]

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
}


def media_type(head: bytes) -> str | None:
    """What a file that begins like this is to a model; None for anything but an image or a PDF."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def read_media(file: BinaryIO, kind: str, *, name: str, max_bytes: int) -> ImageContentPart | DocumentContentPart:
    """The rest of the file as a content part.

    Raises:
        ToolError: it is larger than `max_bytes`.
    """
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        limit = f"{max_bytes // 2**20} MB" if max_bytes >= 2**20 else f"{max_bytes} bytes"
        raise ToolError(f"{name!r} ({kind}) is larger than {limit}, the most that can be shown.")
    text = base64.b64encode(data).decode("ascii")
    part = DocumentContentPart if kind == "application/pdf" else ImageContentPart
    return part(media_type=kind, data=text)
