"""`from_pydantic_ai`: an agent of pydantic-ai. Written for version 2, from its page on deferred tools and stream events.

Calls of tools with `requires_approval=True` become questions; what a person edits is what runs. Another agent inside a tool
is shown there by `nested(from_pydantic_ai(other), task)`.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_gateway_nb.adapters.base import AdaptedHarness, check_agent, last_turn
from llm_gateway_nb.adapters.teller import Teller, inside, plain
from llm_gateway_nb.errors import ConfigurationError, HarnessError
from llm_gateway_nb.types import (
    AssistantMessage,
    ContentPart,
    GeneratorInvokeParams,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    new_id,
)

if TYPE_CHECKING:
    from pydantic_ai import Agent

__all__ = ["from_pydantic_ai"]


def from_pydantic_ai(agent: Agent[Any, Any], prompt: str | None = None, **options: Any) -> AdaptedHarness:
    """A pydantic-ai agent as a harness: `await run(from_pydantic_ai(agent, "…"))`, or with the prompt given to `run`.

    Args:
        options: of `agent.run_stream_events`, such as `deps=` or `usage_limits=`.

    Raises:
        ConfigurationError: pydantic-ai is not installed, or too old; or this is no agent of its.
    """
    try:
        from pydantic_ai.capabilities import AbstractCapability, HandleDeferredToolCalls
    except ImportError as error:
        raise ConfigurationError("from_pydantic_ai needs pydantic-ai 2: pip install 'pydantic-ai-slim>=2'.") from error

    check_agent(agent, "run_stream_events", "from_pydantic_ai takes a pydantic_ai.Agent")

    async def drive(teller: Teller, params: GeneratorInvokeParams) -> None:
        told = _Told(teller)

        class Executing(AbstractCapability[Any]):  # type: ignore[misc]  # its types are not checked
            async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
                told.executes(call, args)
                with inside(teller, call.tool_call_id, call.tool_name):
                    return await handler(args)

        mine = [HandleDeferredToolCalls(handler=told.answers), Executing()]
        given = {**options, "capabilities": [*options.get("capabilities", ()), *mine]}
        history = _history(params.messages[:-1])
        if history:
            given["message_history"] = [*given.get("message_history", ()), *history]
        async with agent.run_stream_events(_content(last_turn(params).content), **given) as events:
            async for event in events:
                told.take(event)

    model = getattr(agent.model, "model_name", None) or (agent.model if isinstance(agent.model, str) else None)
    return AdaptedHarness("from_pydantic_ai", drive, prompt, model)


class _Told:
    """What has been told of one run so far."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._parts: dict[int, str] = {}
        self._called: set[str] = set()
        self._denied: dict[str, str] = {}
        self._text: list[str] = []

    def take(self, event: Any) -> None:
        match event.event_kind:
            case "part_start":
                self._parts[event.index] = new_id()
                self._delta(event.index, event.part.part_kind, getattr(event.part, "content", None))
                if event.part.part_kind == "text":
                    self._text = [event.part.content]
            case "part_delta":
                self._delta(event.index, event.delta.part_delta_kind, getattr(event.delta, "content_delta", None))
                if event.delta.part_delta_kind == "text":
                    self._text.append(event.delta.content_delta)
            case "function_tool_result":
                self._result(event.part)
            case "agent_run_result":
                self._end(event.result)
            case _:
                pass

    def _delta(self, index: int, kind: str, content: Any) -> None:
        if not isinstance(content, str):
            return
        of = self._parts.setdefault(index, new_id())
        if kind == "text":
            self._teller.text(content, of)
        elif kind == "thinking":
            self._teller.reasoning(content, of)

    def executes(self, call: Any, args: Any) -> None:
        if call.tool_call_id not in self._called:
            self._called.add(call.tool_call_id)
            self._teller.tool_call(call.tool_call_id, call.tool_name, plain(args))

    def _result(self, part: Any) -> None:
        call_id = part.tool_call_id
        if call_id not in self._called:  # never executed: denied, or its arguments did not fit
            self._called.add(call_id)
            self._teller.tool_call(call_id, part.tool_name or "?", None)
        if call_id in self._denied:
            self._teller.tool_result(call_id, part.tool_name, self._denied[call_id], "denied")
            return
        failed = part.part_kind == "retry-prompt" or getattr(part, "outcome", "success") in ("failed", "retried")
        output = part.model_response_str() if hasattr(part, "model_response_str") else part.model_response()
        self._teller.tool_result(call_id, part.tool_name or "?", output, "error" if failed else "ok")

    async def answers(self, _ctx: Any, requests: Any) -> Any:
        """Ask about all calls that need approval at once. What needs something else is left to the caller."""
        from pydantic_ai import ToolApproved, ToolDenied

        if not requests.approvals:
            return None
        async with asyncio.TaskGroup() as group:
            asked = {
                call.tool_call_id: group.create_task(
                    self._teller.ask(call.tool_call_id, call.tool_name, call.args_as_dict())
                )
                for call in requests.approvals
            }
        answers: dict[str, Any] = {}
        for call in requests.approvals:
            response = asked[call.tool_call_id].result()
            if response.approved:
                answers[call.tool_call_id] = ToolApproved(override_args=response.input)
            else:
                reason = f"Denied: {response.reason}" if response.reason else "Denied."
                self._denied[call.tool_call_id] = reason
                self._called.add(call.tool_call_id)
                self._teller.tool_call(call.tool_call_id, call.tool_name, call.args_as_dict())
                answers[call.tool_call_id] = ToolDenied(reason)
        return requests.build_results(approvals=answers)

    def _end(self, result: Any) -> None:
        for message in result.new_messages():
            if message.kind == "response" and message.usage is not None:
                self._teller.tokens(message.usage.input_tokens, message.usage.output_tokens)
        output = result.output
        if type(output).__name__ == "DeferredToolRequests":
            waiting = sorted({call.tool_name for call in [*output.calls, *output.approvals]})
            raise HarnessError(f"The agent waits for results of {waiting}, which nobody here can give.")
        answer = output if isinstance(output, str) else json.dumps(plain(output), ensure_ascii=False)
        if answer != "".join(self._text):
            self._teller.text(answer, new_id())


def _history(messages: Sequence[Message]) -> list[Any]:
    from pydantic_ai.messages import (
        ModelRequest,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )

    history: list[Any] = []
    names: dict[str, str] = {}
    for message in messages:
        match message:
            case SystemMessage():
                history.append(ModelRequest(parts=[SystemPromptPart(content=message.content)]))
            case UserMessage():
                history.append(ModelRequest(parts=[UserPromptPart(content=_content(message.content))]))
            case ToolMessage():
                part = ToolReturnPart(
                    tool_name=names.get(message.tool_call_id, "?"),
                    content=_text(message.content),
                    tool_call_id=message.tool_call_id,
                )
                history.append(ModelRequest(parts=[part]))
            case AssistantMessage():
                parts: list[Any] = [TextPart(content=message.content)] if message.content else []
                for call in message.tool_calls or ():
                    names[call.id] = call.name
                    parts.append(ToolCallPart(tool_name=call.name, args=call.arguments, tool_call_id=call.id))
                history.append(ModelResponse(parts=parts))
    return history


def _content(content: str | list[ContentPart]) -> Any:
    """A turn as pydantic-ai takes it: images and documents are binary contents."""
    from pydantic_ai import BinaryContent

    if isinstance(content, str):
        return content
    return [
        part.text if part.type == "text" else BinaryContent(data=b64decode(part.data), media_type=part.media_type)
        for part in content
    ]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content if part.type == "text")
