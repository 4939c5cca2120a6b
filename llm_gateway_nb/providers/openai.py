"""OpenAI's chat completions, and every service that speaks them, through the official SDK.

Written against the SDK's versions 1.109 to 3.52. Deltas are put together here and not by the SDK's stream helper, which
sends a call's arguments too early when two calls interleave.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.base import (
    LLM,
    Finish,
    ModelRequest,
    Piece,
    ReasoningDelta,
    TextDelta,
    ToolCallPiece,
    Usage,
)
from llm_gateway_nb.providers.openai_errors import as_gateway_error
from llm_gateway_nb.providers.openai_messages import to_openai_messages, to_openai_tools

try:
    import openai
except ImportError as error:  # the one sentence that a person needs
    raise ConfigurationError("The OpenAI SDK is not installed: pip install 'llm-gateway-nb[openai]'.") from error

__all__ = ["OpenAICompatibleLLM"]

_REASONING_KEYS = ("reasoning_content", "reasoning")
"""Where services put reasoning: vLLM, llama.cpp and DeepSeek; OpenRouter and Ollama."""

_FINISH = {"function_call": "tool_calls"}


class OpenAICompatibleLLM(LLM):
    """Any service with `POST {base_url}/chat/completions`.

    The address is `base_url`, else `OPENAI_COMPATIBLE_BASE_URL`; the key `api_key`, else `OPENAI_COMPATIBLE_API_KEY`; many
    local servers want none.
    """

    provider = "openai-compatible"
    base_url_variable = "OPENAI_COMPATIBLE_BASE_URL"
    api_key_variable = "OPENAI_COMPATIBLE_API_KEY"

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | None = None,
        max_retries: int = 2,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model or "default", timeout=timeout, max_retries=max_retries, defaults=defaults)
        base_url = base_url or os.environ.get(self.base_url_variable)
        if not base_url:
            raise ConfigurationError(
                f"{self.provider}: say where the service is: create_llm({self.provider!r}, base_url="
                f"'http://localhost:8000/v1'), or set {self.base_url_variable}."
            )
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{self.provider}: base_url={base_url!r} is no web address; it begins with http:// or https:// and often "
                "ends with /v1."
            )
        self.base_url = base_url
        self._api_key = api_key or os.environ.get(self.api_key_variable)
        # A connection belongs to the loop that opened it, and one LLM may serve several loops.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = WeakKeyDictionary()

    def _client(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=self._api_key or "none",
                max_retries=0,  # retries are made in one place, above
                http_client=openai.DefaultAioHttpClient(),
            )
        return client

    async def aclose(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def supported_models(self) -> list[str]:
        try:
            page = await self._client().models.list()
        except Exception as error:
            raise as_gateway_error(error, self) from error
        return sorted(model.id for model in page.data)

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        try:
            async with aclosing(self._stream(request)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:
            raise as_gateway_error(error, self, model=request.model) from error

    async def _stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        known, other = _split_settings(request.settings)
        if request.tools:
            known["tools"] = to_openai_tools(request.tools)
        stream = await self._client().chat.completions.create(
            model=request.model,
            messages=to_openai_messages(request.messages),
            stream=True,
            stream_options={"include_usage": True},
            extra_body=other or None,
            **known,
        )
        calls = _Calls()
        finish: str | None = None
        usage: Usage | None = None
        async with stream:
            async for chunk in stream:
                if chunk.usage is not None:
                    usage = _usage(chunk.usage)
                for choice in chunk.choices[:1]:
                    delta = choice.delta
                    if reasoning := _reasoning(delta):
                        yield ReasoningDelta(reasoning)
                    if delta.content:
                        yield TextDelta(delta.content)
                    for part in delta.tool_calls or ():
                        calls.add(part)
                    finish = choice.finish_reason or finish
        for piece in calls.pieces():
            yield piece
        if usage is not None:
            yield usage
        if finish is not None:
            yield Finish(_FINISH.get(finish, finish), raw=finish)


class _Calls:
    """Tool calls put together from deltas: by index, and where a service sends none, each part with an id begins one."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, str]] = {}

    def add(self, part: Any) -> None:
        index = part.index
        if index is None:
            index = len(self._parts) if part.id or not self._parts else max(self._parts)
        call = self._parts.setdefault(index, {"id": "", "name": "", "arguments": ""})
        if part.id:
            call["id"] = part.id
        if part.function is not None:
            call["name"] += part.function.name or ""
            arguments = part.function.arguments
            call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments or {})

    def pieces(self) -> list[ToolCallPiece]:
        return [
            ToolCallPiece(
                id=call["id"] or f"call_{index}", name=call["name"], arguments=_parse_arguments(call["arguments"])
            )
            for index, call in sorted(self._parts.items())
        ]


def _parse_arguments(text: str) -> dict[str, Any] | str:
    """The arguments as an object; the raw text where the model wrote none."""
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        return text
    return arguments if isinstance(arguments, dict) else text


def _reasoning(delta: Any) -> str:
    extra = delta.model_extra or {}
    return next((extra[key] for key in _REASONING_KEYS if isinstance(extra.get(key), str)), "")


def _usage(usage: Any) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=details.cached_tokens if details is not None else None,
    )


_ALIASES = {"max_output_tokens": "max_tokens"}


def _split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the SDK has a parameter for, and the rest, which reaches the wire as it is."""
    renamed = {_ALIASES.get(key, key): value for key, value in settings.items() if value is not None}
    parameters = inspect.signature(openai.resources.chat.AsyncCompletions.create).parameters
    known = {key: value for key, value in renamed.items() if key in parameters}
    return known, {key: value for key, value in renamed.items() if key not in parameters}
