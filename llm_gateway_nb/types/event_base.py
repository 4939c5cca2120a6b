"""What all events have, and how a word that is newer than we are is read."""

from __future__ import annotations

import time
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

from llm_gateway_nb.types.wire import WireModel, optional

__all__ = ["FROM_A_PEER", "EventBase", "Newer"]

FROM_A_PEER = object()
"""The context of reading an event, in which a word that we do not know is no mistake."""


def _or_a_newer_word(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """A word of a closed set; from the wire also one that a newer peer has added to it, which is kept as it is."""
    try:
        return read(value)
    except ValidationError:
        if info.context is FROM_A_PEER and isinstance(value, str):
            return value
        raise


Newer = WrapValidator(_or_a_newer_word)
"""In the type of a field whose words are a closed set."""


class EventBase(WireModel):
    """What every event has.

    Attributes:
        run_id: the run (one `invoke`) that it belongs to.
        parent_id: the id of the event, or of the run, that its run hangs from; absent for a root.
        seq: its number within one stream, given by whoever sends the stream on.
        timestamp: when it was born, in seconds since the epoch; absent in events of the source system.
    """

    run_id: str
    parent_id: str | None = optional()
    seq: int | None = optional()
    timestamp: float | None = Field(default_factory=time.time, exclude_if=lambda value: value is None)
