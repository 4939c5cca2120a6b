"""The parts of a multipart message: text, images, documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llm_gateway_nb.types.wire import WireModel

__all__ = ["ContentPart", "DocumentContentPart", "ImageContentPart", "TextContentPart"]


class TextContentPart(WireModel):
    """Plain text inside a multipart message."""

    type: Literal["text"] = "text"
    text: str


class ImageContentPart(WireModel):
    """An image: `media_type` as in `image/png`, `data` in base64."""

    type: Literal["image"] = "image"
    media_type: str
    data: str = Field(repr=False)


class DocumentContentPart(WireModel):
    """A document: `media_type` as in `application/pdf`, `data` in base64."""

    type: Literal["document"] = "document"
    media_type: str
    data: str = Field(repr=False)


ContentPart = Annotated[TextContentPart | ImageContentPart | DocumentContentPart, Field(discriminator="type")]
