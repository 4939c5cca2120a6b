"""The base of everything that crosses a boundary: camelCase on the wire, snake_case in Python.

Reading takes either spelling; writing gives the wire's; an absent optional is an absent key, never null; keys that we
do not know come from a newer peer and are kept. Names and shapes are the LLM Gateway's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import uuid_utils
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import from_json, to_jsonable_python

__all__ = ["WireModel", "dump_wire", "new_id", "optional", "read_wire", "text_of"]


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


def dump_wire(model: BaseModel) -> dict[str, Any]:
    """The wire form: JSON values only, so that `json.dumps(…, allow_nan=False)` and reading it back always work.

    What JSON does not know becomes its `str`; NaN and the infinities become null, as in JavaScript. What no JSON reader
    takes is made readable: lone surrogates become U+FFFD, an integer of thousands of digits its hexadecimal text, and
    what lies in itself, or deeper than 100 levels, the text of it. Never raises for what a value holds.
    """
    try:
        # By way of JSON text: whatever comes back from there is JSON, and nothing has to be looked at twice.
        text = model.__pydantic_serializer__.to_json(model, fallback=text_of, warnings=False)
        wire: dict[str, Any] = from_json(text)
    except Exception:  # noqa: BLE001  (a tool's output may hold anything, with serializers of its own that raise anything)
        wire = _readable_model(model).model_dump(mode="json", fallback=text_of, warnings=False)
    return wire


def read_wire(text: str | bytes) -> Any:
    """JSON, as any peer may write it: JavaScript escapes half a surrogate pair, which becomes U+FFFD.

    Raises:
        ValueError: it is no JSON.
        TypeError: a str with a lone surrogate in it.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        if "surrogate" not in str(error) and "hex escape" not in str(error):
            raise
        try:
            return _readable(json.loads(text, parse_constant=_no_number))
        except RecursionError:
            raise ValueError("it is nested too deep") from None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def text_of(value: object) -> str:
    """`str(value)` that is fit for the wire, also where `str` raises or gives lone surrogates."""
    try:
        text = value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
    except Exception:  # noqa: BLE001  (a `__str__` may raise anything)
        text = f"<{type(value).__name__}>"
    # Through UTF-16, where two surrogates that belong together become the character that they stand for.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_DEEPEST = 100  # levels; readers give up at some depth, pydantic's at 200
_LONGEST = 14_000  # bits of an integer; Python writes and reads no more than 4,300 digits


def _readable(value: Any, around: tuple[int, ...] = ()) -> Any:
    """`value` with nothing in it that no JSON reader takes. `around` holds the ids of what it lies in."""
    match value:
        case None | bool():
            return value
        case str():
            return text_of(str.__str__(value))
        case int():
            return int(value) if value.bit_length() <= _LONGEST else hex(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case bytes() | bytearray():
            return text_of(value)
    if id(value) in around or len(around) >= _DEEPEST:
        return text_of(value)
    around = (*around, id(value))
    match value:
        case Mapping():
            return {text_of(key): _readable(item, around) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_readable(item, around) for item in value]
    try:
        if isinstance(value, BaseModel):
            return _readable_model(value, around).model_dump(mode="json", fallback=text_of, warnings=False)
        return _readable(to_jsonable_python(value, fallback=text_of), around)
    except Exception:  # noqa: BLE001  (see `dump_wire`)
        return text_of(value)


def _readable_model(model: BaseModel, around: tuple[int, ...] = ()) -> BaseModel:
    """A copy of `model` whose fields and extra keys are readable; an exception stays, for its field's own serializer."""
    fields = {
        name: value if isinstance(value, BaseException) else _readable(value, around)
        for name, value in model.__dict__.items()
    }
    copy = model.model_copy(update=fields)
    if model.__pydantic_extra__:
        extra = {text_of(key): _readable(value, around) for key, value in model.__pydantic_extra__.items()}
        object.__setattr__(copy, "__pydantic_extra__", extra)
    return copy
