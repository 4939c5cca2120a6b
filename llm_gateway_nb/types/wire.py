"""The base of everything that crosses a boundary: camelCase on the wire, snake_case in Python.

Reading takes either spelling; writing gives the wire's; an absent optional is an absent key, never null; keys that we
do not know come from a newer peer and are kept. Names and shapes are the LLM Gateway's.
"""

from __future__ import annotations

from typing import Any

import uuid_utils
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["WireModel", "new_id", "optional"]


class WireModel(BaseModel):
    """Immutable data with wire names. `model_dump(mode="json")` is the wire form."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        frozen=True,
        extra="allow",
    )


def _is_none(value: object) -> bool:
    return value is None


def optional(**kwargs: Any) -> Any:
    """A field that may be absent: None in Python, no key on the wire."""
    return Field(default=None, exclude_if=_is_none, **kwargs)


def new_id() -> str:
    """A UUID version 7 as text: unique, and sorted by the time it was made."""
    return str(uuid_utils.uuid7())
