"""What a tool gave, as what the model reads and what is for the application."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from llm_gateway_nb.types import ContentPart, ToolExecutionResult
from llm_gateway_nb.types.wire import text_of

__all__ = ["read_value"]


def read_value(value: Any) -> tuple[str | list[ContentPart], Any]:
    """(text or content parts, result). Never raises for what a value holds: what JSON does not know becomes its text."""
    if isinstance(value, dict) and value.keys() <= {"context", "result"} and value:
        value = ToolExecutionResult[Any].model_validate(value)
    if isinstance(value, ToolExecutionResult):
        if value.context is not None:
            return value.context, value.result
        return _as_text(value.result), value.result
    return _as_text(value), None if isinstance(value, str) else value


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        if isinstance(value, BaseModel):
            return value.model_dump_json()
        return json.dumps(value, ensure_ascii=False, default=text_of)
    except Exception:  # noqa: BLE001  (keys that are no text, a list in itself, a serializer that raises)
        return text_of(value)
