"""Recordings: what happens in a harness as JSON lines, redacted and cut-safe. `record` and `replay` are the ways in."""

from llm_gateway_nb.recording.reader import Invoke, ModelCall, Recording

__all__ = ["Invoke", "ModelCall", "Recording"]
