"""OpenAI's chat completions, and every service that speaks them, through the official SDK.

Written against the SDK's versions 1.109 to 3.52. Deltas are put together here and not by the SDK's stream helper, which
sends a call's arguments too early when two calls interleave.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, ProviderAPIError
from llm_gateway_nb.providers.base import (
    Finish,
    ModelRequest,
    Piece,
    ReasoningDelta,
    TextDelta,
    ToolCallPiece,
    Usage,
)
from llm_gateway_nb.providers.openai_messages import to_openai_messages, to_openai_tools
from llm_gateway_nb.providers.retry import without_secrets
from llm_gateway_nb.providers.sdk import (
    CONNECT_SECONDS,
    SDK_SECONDS,
    SdkLLM,
    goes_by_proxy,
    parse_arguments,
    wire_settings,
)
from llm_gateway_nb.providers.services import OPENAI_FAMILY, Service
from llm_gateway_nb.providers.structured import strict_schema

try:
    import openai
except ImportError as error:  # the one sentence that a person needs
    raise ConfigurationError("The OpenAI SDK is not installed: pip install 'llm-gateway-nb[openai]'.") from error

__all__ = ["OpenAICompatibleLLM"]

_FINISH = {"function_call": "tool_calls", "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


def _make_client(base_url: str, api_key: str | None) -> tuple[openai.AsyncOpenAI, Any]:
    http = openai.DefaultAioHttpClient(trust_env=goes_by_proxy(base_url))
    headers: dict[str, Any] = {}
    if base_url != OPENAI_FAMILY["openai"].base_url:  # the SDK reads these from the environment, for any address
        headers |= {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
    client = openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or "none",
        timeout=openai.Timeout(SDK_SECONDS, connect=CONNECT_SECONDS),
        max_retries=0,  # retries are made in one place, in retry.py
        default_headers=headers,
        http_client=http,
    )
    return client, http


class OpenAICompatibleLLM(SdkLLM[openai.AsyncOpenAI]):
    """Any service with `POST {base_url}/chat/completions`; `services.py` has what differs between them."""

    def __init__(
        self, model: str | None = None, *, service: Service = OPENAI_FAMILY["openai-compatible"], **options: Any
    ) -> None:
        super().__init__(model, service=service, make_client=_make_client, **options)

    async def _stream(self, client: openai.AsyncOpenAI, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        body, options = self._wire(request)
        # Not by `chat.completions.create`, which does all this too, but looks through every message for what is no JSON,
        # and makes a model of every chunk: that took most of the time.
        stream = await client.post(
            "/chat/completions",
            cast_to=object,
            body=body,
            options=options,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        async with stream:
            await self._check_type(stream.response, request)
            calls = _Calls()
            finish: str | None = None
            usage: Usage | None = None
            refused = False
            reasoning_keys = self._service.reasoning_keys
            chunk: Any  # JSON
            async for chunk in stream:
                if counted := chunk.get("usage"):
                    usage = _usage(counted)
                for choice in (chunk.get("choices") or ())[:1]:
                    if delta := choice.get("delta"):
                        for key in reasoning_keys:
                            if (thought := delta.get(key)) and isinstance(thought, str):
                                yield ReasoningDelta(thought)
                                break
                        if content := delta.get("content"):
                            yield TextDelta(content)
                        if refusal := delta.get("refusal"):
                            refused = True
                            yield TextDelta(refusal)
                        for part in delta.get("tool_calls") or ():
                            calls.add(part)
                    finish = choice.get("finish_reason") or finish
        if usage is not None:
            yield usage
        if finish is None:
            return  # cut off; the base says so
        found = calls.pieces()
        for piece in found:
            yield piece
        reason = _FINISH.get(finish, finish)
        if reason == "stop" and (found or refused):
            reason = "tool_calls" if found else "content_filter"
        yield Finish(reason, raw=finish)

    async def _list_models(self, client: openai.AsyncOpenAI) -> list[str]:
        headers: Any = {"Authorization": openai.Omit()} if self._api_key is None else None
        return [model.id async for model in client.models.list(extra_headers=headers)]

    def _wire(self, request: ModelRequest) -> tuple[dict[str, Any], openai.RequestOptions]:
        limit = self._service.max_tokens_key
        given, settings = wire_settings(
            request,
            provider=self.provider,
            known=frozenset({"extra_headers", "extra_query"}),
            names={"max_output_tokens": limit, "max_tokens": limit},
        )
        choice = settings.get("tool_choice")
        if isinstance(choice, str) and choice not in ("auto", "none", "required"):
            settings["tool_choice"] = {"type": "function", "function": {"name": choice}}
        if request.tools:
            settings["tools"] = to_openai_tools(request.tools)
        if request.response_model is not None:
            settings["response_format"] = self._response_format(request.response_model)
        body = {
            "model": request.model,
            "messages": to_openai_messages(request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **settings,
        }
        headers: dict[str, Any] = {"Authorization": openai.Omit()} if self._api_key is None else {}
        options: openai.RequestOptions = {
            "headers": {**headers, **(given.get("extra_headers") or {})},
            "params": given.get("extra_query") or {},
        }
        if self._limits.silence is not None:  # the clock is ours alone
            options["timeout"] = openai.Timeout(None, connect=CONNECT_SECONDS)
        return body, options

    def _response_format(self, answer: Any) -> dict[str, Any]:
        schema = answer.model_json_schema()
        strict = strict_schema(schema, drop=self._service.not_in_schemas)
        name = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in answer.__name__)[:64]
        return {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": strict or schema, "strict": strict is not None},
        }

    async def _check_type(self, response: Any, request: ModelRequest) -> None:
        """Some addresses answer 200 with a page, or with an error as JSON; read as a stream, both would be silence."""
        kind = response.headers.get("content-type", "").partition(";")[0]
        if kind not in ("text/html", "application/json"):
            return
        said = "a web page; does base_url end with /v1?"
        if kind == "application/json":
            body = json.loads(await response.aread())
            error = body.get("error", body) if isinstance(body, dict) else body
            message = error.get("message", error) if isinstance(error, dict) else error
            said = f"JSON that is no stream: {without_secrets(str(message)[:300], self._api_key)}"
        raise ProviderAPIError(
            f"{self.provider} ({self.base_url}) answered with {said}", provider=self.provider, model=request.model
        )


class _Calls:
    """Tool calls put together from deltas: by index, and where a service sends none, each part with an id begins one."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, str]] = {}

    def add(self, part: Mapping[str, Any]) -> None:
        index, call_id = part.get("index"), part.get("id")
        if index is None:
            index = len(self._parts) if call_id or not self._parts else max(self._parts)
        call = self._parts.setdefault(index, {"id": "", "name": "", "arguments": ""})
        if call_id:
            call["id"] = call_id
        if function := part.get("function"):
            call["name"] += function.get("name") or ""
            arguments = function.get("arguments")
            if arguments is not None:
                call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def pieces(self) -> list[ToolCallPiece]:
        return [
            ToolCallPiece(
                id=call["id"] or f"call_{index}", name=call["name"], arguments=parse_arguments(call["arguments"])
            )
            for index, call in sorted(self._parts.items())
        ]


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    prompt, answer = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if prompt is None or answer is None:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=prompt,
        output_tokens=answer,
        cache_read_tokens=details.get("cached_tokens"),
        cache_creation_tokens=details.get("cache_write_tokens"),
    )
