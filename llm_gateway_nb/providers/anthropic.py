"""Anthropic's Messages API through the official SDK.

Written against the SDK's versions 0.75 to 2.11 and https://docs.anthropic.com/en/api/messages-streaming. Raw events are
read and not the SDK's stream helper, which turns the broken JSON of a call into an exception.
"""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderAPIError
from llm_gateway_nb.providers.anthropic_answer import Answer
from llm_gateway_nb.providers.anthropic_messages import to_anthropic_messages, to_anthropic_tools
from llm_gateway_nb.providers.base import Finish, ModelRequest, Piece, ToolCallPiece
from llm_gateway_nb.providers.sdk import CONNECT_SECONDS, SDK_SECONDS, SdkLLM, goes_by_proxy, wire_settings
from llm_gateway_nb.providers.services import ANTHROPIC
from llm_gateway_nb.providers.structured import instructed, strict_schema
from llm_gateway_nb.types import AssistantMessage

try:
    import anthropic
except ImportError as error:  # the one sentence that a person needs
    raise ConfigurationError("The Anthropic SDK is not installed: pip install 'llm-gateway-nb[anthropic]'.") from error

__all__ = ["AnthropicLLM"]

_MAX_TOKENS = 8192
"""The API wants a limit; this is one that every model takes."""

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_BY_BODY = {"temperature", "top_p", "top_k"}  # parameters of the API that newer SDKs refuse as arguments
_PARAMETERS = frozenset(inspect.signature(anthropic.resources.AsyncMessages.create).parameters) - {"timeout", *_BY_BODY}
_NAMES = {"max_output_tokens": "max_tokens", "stop": "stop_sequences"}
_REMEMBERED = 256


def _make_client(base_url: str, api_key: str | None) -> tuple[anthropic.AsyncAnthropic, Any]:
    http = anthropic.DefaultAioHttpClient(trust_env=goes_by_proxy(base_url))
    client = anthropic.AsyncAnthropic(
        base_url=base_url.removesuffix("/v1"),  # the SDK adds it
        api_key=api_key,
        timeout=anthropic.Timeout(SDK_SECONDS, connect=CONNECT_SECONDS),
        max_retries=0,  # retries are made in one place, in retry.py
        http_client=http,
    )
    return client, http


class AnthropicLLM(SdkLLM[anthropic.AsyncAnthropic]):
    """Claude. The address is `base_url`, else `ANTHROPIC_BASE_URL`; the key `api_key`, else `ANTHROPIC_API_KEY`.

    Consecutive messages of one role are sent as one, system messages in the request's own field. `max_tokens` is 8,192
    where nobody sets it (over `thinking`'s budget, if there is one).

    With `thinking` on, the API wants the thinking of a turn that called tools back, signed, with their results. Messages
    have no place for it, so an `AnthropicLLM` remembers that of its last 256 calls; where it does not know it, say after a
    restart, that one request is sent without thinking.
    """

    def __init__(self, model: str | None = None, **options: Any) -> None:
        super().__init__(model, service=ANTHROPIC, make_client=_make_client, **options)
        self._thoughts = _Thoughts()

    async def _list_models(self, client: anthropic.AsyncAnthropic) -> list[str]:
        return [model.id async for model in client.models.list(limit=1000)]

    async def _stream(self, client: anthropic.AsyncAnthropic, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        known, other = self._wire(request)
        stream = await client.messages.create(model=request.model, stream=True, extra_body=other or None, **known)
        async with stream:
            kind = stream.response.headers.get("content-type", "").partition(";")[0]
            if kind in ("text/html", "application/json"):  # read as a stream, it would be silence
                what = "a web page" if kind == "text/html" else "JSON that is no stream"
                raise ProviderAPIError(
                    f"{self.provider} ({self.base_url}) answered with {what}; is base_url right?",
                    provider=self.provider,
                    model=request.model,
                )
            answer = Answer()
            # The same stream, its events as the JSON that they are: the SDK's model of each takes most of the time.
            events: anthropic.AsyncStream[Any] = anthropic.AsyncStream(
                cast_to=object, response=stream.response, client=client
            )
            async for event in events:
                match event.get("type"):
                    case "content_block_delta":
                        if (piece := answer.add_delta(event["index"], event["delta"])) is not None:
                            yield piece
                    case "content_block_start":
                        if (piece := answer.start_block(event["index"], event["content_block"])) is not None:
                            yield piece
                    case "message_start":
                        answer.count(event["message"].get("usage"))
                    case "message_delta":
                        answer.count(event.get("usage"))
                        answer.stop_reason = event["delta"].get("stop_reason") or answer.stop_reason
                    case _:
                        pass  # the ends of blocks, and kinds that are newer than this
        if (usage := answer.usage()) is not None:
            yield usage
        if answer.stop_reason is None:
            return  # cut off; the base says so
        calls = answer.calls()
        self._thoughts.remember(calls, answer.thoughts())
        for call in calls:
            yield call
        yield Finish(_FINISH.get(answer.stop_reason, answer.stop_reason), raw=answer.stop_reason)

    def _wire(self, request: ModelRequest) -> tuple[dict[str, Any], dict[str, Any]]:
        known, other = wire_settings(request, provider=self.provider, known=_PARAMETERS, names=_NAMES)
        thinking = known.get("thinking", {})
        if not isinstance(thinking, Mapping):
            raise InvalidRequestError(
                f"anthropic: thinking is a dict as in {{'type': 'enabled', 'budget_tokens': 2048}}, not {thinking!r}.",
                provider=self.provider,
                model=request.model,
            )
        thinks = thinking.get("type", "disabled") != "disabled"
        known.setdefault("max_tokens", _MAX_TOKENS + (thinking.get("budget_tokens", 0) if thinks else 0))
        if isinstance(known.get("stop_sequences"), str):
            known["stop_sequences"] = [known["stop_sequences"]]
        messages = request.messages
        if request.response_model is not None:
            schema = strict_schema(request.response_model.model_json_schema(), drop=self._service.not_in_schemas)
            if schema is None:
                messages = instructed(messages, request.response_model)
            else:
                known.pop("output_config", None)
                given = request.settings.get("output_config") or {}
                other["output_config"] = {**given, "format": {"type": "json_schema", "schema": schema}}
        system, known["messages"], all_known = to_anthropic_messages(messages, self._thoughts if thinks else None)
        if thinks and not all_known:
            del known["thinking"]
        if system:
            known["system"] = system
        if request.tools:
            known["tools"] = to_anthropic_tools(request.tools)
        elif called := {call.name for m in messages if isinstance(m, AssistantMessage) for call in m.tool_calls or ()}:
            # A history with calls in it is refused without their tools, and the last turn of an agent offers none.
            known["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in sorted(called)]
            known["tool_choice"] = "none"
        _settle_tool_choice(known, other)
        if self._limits.silence is not None:  # the clock is ours alone
            known["timeout"] = anthropic.Timeout(None, connect=CONNECT_SECONDS)
        return known, other


def _settle_tool_choice(known: dict[str, Any], other: dict[str, Any]) -> None:
    """`tool_choice` in the words of the OpenAI family ("auto", "required", "none", a tool's name), and
    `parallel_tool_calls`, as the API has them."""
    choice = known.get("tool_choice")
    if isinstance(choice, str):
        kinds = {"auto": "auto", "required": "any", "any": "any", "none": "none"}
        choice = {"type": kinds[choice]} if choice in kinds else {"type": "tool", "name": choice}
    parallel = other.pop("parallel_tool_calls", None)
    if parallel is False and "tools" in known:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice is not None:
        known["tool_choice"] = choice


class _Thoughts:
    """What was thought before a call, by the call's id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._by_call: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, calls: Sequence[ToolCallPiece], thoughts: list[dict[str, Any]]) -> None:
        if not calls or not thoughts:
            return
        with self._lock:
            self._by_call[calls[0].id] = thoughts
            while len(self._by_call) > _REMEMBERED:
                self._by_call.popitem(last=False)

    def of(self, call_id: str) -> list[dict[str, Any]] | None:
        return self._by_call.get(call_id)
