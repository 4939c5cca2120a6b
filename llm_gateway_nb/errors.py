"""Every exception this package raises, in one tree.

The tree parts *you misused it* from *the other side failed* from *it was closed*::

    GatewayError
    ├── ConfigurationError           you: a missing SDK, key, model or weights file; a wrong option
    │   ├── UnknownProviderError     you: `create_llm("opnai")`
    │   └── RecordingError           a file that is no recording, or not one that this version reads
    ├── HarnessError                 a run could not be started or went wrong inside
    │   ├── InvalidMessagesError     you: messages of the wrong shape
    │   ├── ToolError                a tool call that did not succeed; the model reads its text
    │   │   ├── UnknownToolError     the model called a tool that it was not offered
    │   │   ├── ToolInputError       the model's arguments do not fit the tool's schema
    │   │   ├── ToolNotExecutableError  you: a tool without `execute`
    │   │   ├── ToolTimeoutError     the tool was over its time
    │   │   └── SubagentError        a subagent failed, was stopped, or was one too many
    │   ├── ReplError                a REPL that did not start, or is closed
    │   ├── CodeBlockError           a model that was to write one block of code and did not
    │   ├── ScriptError              a scripted model ran out of turns, or was left unread
    │   └── ReplayError              a replay was asked for what was not recorded
    ├── ProviderAPIError             the service failed (status, retry_after, provider, model, attempts)
    │   ├── AuthenticationError      401, 403
    │   ├── RateLimitError           429
    │   ├── InvalidRequestError      400, 413, 422
    │   ├── ModelNotFoundError       404
    │   ├── ProviderTimeoutError     no answer in time
    │   └── ProviderConnectionError  refused, reset, cut off in the middle
    ├── StreamClosedError            it was closed: a push after the end
    └── RemoteError                  an error read from the wire: its class is known by name only
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from llm_gateway_nb._traceback import render

__all__ = [
    "AuthenticationError",
    "CodeBlockError",
    "ConfigurationError",
    "GatewayError",
    "HarnessError",
    "InvalidMessagesError",
    "InvalidRequestError",
    "ModelNotFoundError",
    "ProviderAPIError",
    "ProviderConnectionError",
    "ProviderTimeoutError",
    "RateLimitError",
    "RecordingError",
    "RemoteError",
    "ReplError",
    "ReplayError",
    "ScriptError",
    "StreamClosedError",
    "SubagentError",
    "ToolError",
    "ToolInputError",
    "ToolNotExecutableError",
    "ToolTimeoutError",
    "UnknownProviderError",
    "UnknownToolError",
]


class GatewayError(Exception):
    """Base of everything below. Copies and pickles, whatever its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """IPython asks for this."""
        return render(self)


def _restore(cls: type[GatewayError], args: tuple[Any, ...], state: dict[str, Any]) -> GatewayError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(GatewayError):
    """Something has to be installed, set or passed first; the message says what."""


class UnknownProviderError(ConfigurationError):
    """`create_llm` was given a provider name that nobody registered."""

    def __init__(self, provider: str, *, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(provider.lower(), names, n=1)
        maker = _maker_of(provider)
        if close:
            hint = f" Did you mean {close[0]!r}?"
        elif maker is not None:
            hint = f" If it is a model, name its provider first: create_llm({maker!r}, {provider!r})."
        else:
            hint = ""
        super().__init__(f"There is no provider {provider!r}.{hint} Known are {', '.join(names)}.")
        self.provider = provider


def _maker_of(model: str) -> str | None:
    """Whose model a name looks like."""
    if model.startswith("claude"):
        return "anthropic"
    if re.match(r"(gpt|chatgpt|o\d)\b", model):
        return "openai"
    return "ollama" if ":" in model and "/" not in model else None


class RecordingError(ConfigurationError):
    """A file can't be read as a recording; the message names the file, and the line where it is one."""


class HarnessError(GatewayError):
    """A run could not be started, or went wrong inside."""


class InvalidMessagesError(HarnessError, ValueError):
    """The messages of a request do not have the shape of `llm_gateway_nb.types.Message`."""


class ToolError(HarnessError):
    """A tool call that did not succeed. Raise it in a tool to give the model a plain sentence."""


class UnknownToolError(ToolError):
    """The model called a tool that it was not offered."""

    def __init__(self, tool: str, *, offered: Sequence[str]) -> None:
        names = ", ".join(sorted(offered)) or "none"
        super().__init__(f"There is no tool {tool!r}. Offered are: {names}.")
        self.tool = tool


class ToolInputError(ToolError, ValueError):
    """The model's arguments do not fit the tool's schema."""


class ToolNotExecutableError(ToolError):
    """A tool that has a schema but nothing to execute was called."""

    def __init__(self, tool: str) -> None:
        super().__init__(f"Tool {tool!r} has no `execute`; give it one, or handle its `tool_call` event yourself.")
        self.tool = tool


class ToolTimeoutError(ToolError, TimeoutError):
    """A tool was over its time and was cancelled."""


class SubagentError(ToolError):
    """A subagent failed, was stopped, or was one too many.

    Attributes:
        agent_id: which; None of one that was never started.
        text: what it had said; empty if nothing.
    """

    def __init__(self, message: str, *, agent_id: str | None = None, text: str = "") -> None:
        super().__init__(message)
        self.agent_id = agent_id
        self.text = text


class ReplError(HarnessError):
    """A REPL did not start, or was used after its end. What code does in a REPL is never raised: it is a result."""


class CodeBlockError(HarnessError):
    """A model that drives a REPL did not write exactly one block of code. It is told, and goes on."""


class ScriptError(HarnessError):
    """A scripted model was called more often than it has turns, or less."""


class ReplayError(HarnessError):
    """A replay was asked for what was not recorded. `diff` has the lines that differ, where a request came close."""

    def __init__(self, message: str, *, diff: str = "") -> None:
        super().__init__(f"{message}\n{diff}" if diff else message)
        self.diff = diff


class ProviderAPIError(GatewayError):
    """A model service failed. Also the base of every more precise failure of a service.

    Attributes:
        status: the HTTP status, or None where there was no answer.
        retry_after: seconds the service asked us to wait, or None.
        provider, model: whom we asked, and for what.
        attempts: how many requests were sent.
        partial_text: what had been streamed before the failure; empty if nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        provider: str | None = None,
        model: str | None = None,
        attempts: int = 1,
        partial_text: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.provider = provider
        self.model = model
        self.attempts = attempts
        self.partial_text = partial_text


class AuthenticationError(ProviderAPIError):
    """The service refused the key (401, 403)."""


class RateLimitError(ProviderAPIError):
    """Too many requests (429); `retry_after` says how many seconds to wait where the service told."""


class InvalidRequestError(ProviderAPIError):
    """The service did not accept the request (400, 413, 422)."""


class ModelNotFoundError(ProviderAPIError):
    """The service has no such model (404)."""


class ProviderTimeoutError(ProviderAPIError):
    """No answer in time."""


class ProviderConnectionError(ProviderAPIError):
    """The service could not be reached, or the connection broke before the answer was complete."""


def provider_error(name: str) -> type[ProviderAPIError] | None:
    """The class of a service's failure by its name, as an `error` event has it on the wire."""
    classes: list[type[ProviderAPIError]] = [ProviderAPIError, *ProviderAPIError.__subclasses__()]
    return next((cls for cls in classes if cls.__name__ == name), None)


class StreamClosedError(GatewayError):
    """Something was pushed into a stream that has ended."""


class RemoteError(GatewayError):
    """An error that was read from the wire, where only its name and message travel."""

    def __init__(self, message: str, *, name: str = "Error") -> None:
        super().__init__(message)
        self.name = name
