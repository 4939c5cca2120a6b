"""`from_openai_agents`: an agent of the OpenAI Agents SDK, from its pages on streaming and on human in the loop.

Tools with `needs_approval` become questions. The SDK can't run other arguments than the model's, so an edited call is
denied with that reason. An agent as a tool is shown in its call by `agent.as_tool(..., on_stream=openai_agents_on_stream)`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, assert_never, cast

from llm_gateway_nb.adapters.base import AdaptedHarness, check_agent, last_turn
from llm_gateway_nb.adapters.teller import Teller, current_teller, plain
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.types import (
    AssistantMessage,
    ContentPart,
    DocumentContentPart,
    GeneratorInvokeParams,
    ImageContentPart,
    Message,
    RelayResponse,
    TextContentPart,
    ToolMessage,
    new_id,
)

if TYPE_CHECKING:
    from agents import Agent

__all__ = ["from_openai_agents", "openai_agents_on_stream"]


def from_openai_agents(agent: Agent[Any], prompt: str | None = None, **options: Any) -> AdaptedHarness:
    """An agent of the OpenAI Agents SDK as a harness: `await run(from_openai_agents(agent, "…"))`.

    Args:
        options: of `Runner.run_streamed`, such as `context=`, `max_turns=` or `session=`. With a session, the session
            remembers, and the agent gets only what the person says now.

    Raises:
        ConfigurationError: the SDK is not installed, or this is no agent of its.
    """
    try:
        from agents import Runner
    except ImportError as error:
        raise ConfigurationError("from_openai_agents needs the SDK: pip install openai-agents.") from error

    check_agent(agent, "as_tool", "from_openai_agents takes an Agent of the SDK")

    async def drive(teller: Teller, params: GeneratorInvokeParams) -> None:
        told = _Told(teller)
        given: Any = _input([last_turn(params)] if "session" in options else params.messages)
        settings = {**options, "hooks": _watching(options.get("hooks"), told)}
        while given is not None:
            result = Runner.run_streamed(agent, given, **settings)
            try:
                async for event in result.stream_events():
                    told.take(event)
            finally:
                await _stop(result)
            given = await told.resumed(result) if result.interruptions else None
        told.end(result.final_output)

    model = agent.model if isinstance(agent.model, str) else getattr(agent.model, "model", None)
    return AdaptedHarness("from_openai_agents", drive, prompt, model if isinstance(model, str) else None)


async def _stop(result: Any) -> None:
    """The SDK runs the agent in a task of its own, which outlives a reader that stops early."""
    if not result.is_complete:
        result.cancel()
    task = getattr(result, "run_loop_task", None)
    if isinstance(task, asyncio.Task) and not task.done():
        task.cancel()
        await asyncio.wait([task])


def _watching(theirs: Any, told: _Told) -> Any:
    """Hooks that tell when a tool starts, and pass everything on to the caller's own."""
    from agents import RunHooks

    class Watching(RunHooks):  # type: ignore[misc]  # its types are not checked
        async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
            told.starts(context, tool)
            if theirs is not None:
                await theirs.on_tool_start(context, agent, tool)

    hooks = Watching()
    if theirs is not None:
        for name in ("on_llm_start", "on_llm_end", "on_agent_start", "on_agent_end", "on_handoff", "on_tool_end"):
            if hasattr(theirs, name):
                setattr(hooks, name, getattr(theirs, name))
    return hooks


class _Told:
    """What has been told of one run so far."""

    def __init__(self, teller: Teller, *, watched: bool = True) -> None:
        self.teller = teller
        self._watched = watched
        self._called: set[str] = set()
        self._names: dict[str, str] = {}
        self._denied: dict[str, str] = {}
        self._text: tuple[str | None, str] = (None, "")

    def take(self, event: Any) -> None:
        if event.type == "raw_response_event":
            self._raw(event.data)
        elif event.type == "run_item_stream_event":
            self._item(event.item)

    def _raw(self, data: Any) -> None:
        match data.type:
            case "response.output_text.delta" | "response.refusal.delta":
                key = f"{self.teller.run_id}/{data.item_id}/{self._turn}"
                self._text = (key, self._text[1] + data.delta if self._text[0] == key else data.delta)
                self.teller.text(data.delta, key)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self.teller.reasoning(data.delta, f"{self.teller.run_id}/{data.item_id}/{self._turn}/reasoning")
            case "response.completed" | "response.incomplete":
                self._turn += 1
                if data.response.usage is not None:
                    self.teller.tokens(data.response.usage.input_tokens, data.response.usage.output_tokens)
            case _:
                pass

    _turn = 0
    """Which answer of the model it is: not every service numbers its items anew."""

    def _item(self, item: Any) -> None:
        raw = item.raw_item
        call_id, name, kind = _of(raw, "call_id") or _of(raw, "id"), _of(raw, "name"), _of(raw, "type")
        match item.type:
            case "tool_call_item" if kind == "function_call":
                self._names[call_id] = name
                if not self._watched:  # else it is told when it starts, after any question about it
                    self._call(call_id, name, _arguments(_of(raw, "arguments")))
            case "tool_call_item":  # a tool of the service, which has run it already
                self._call(call_id, name or str(kind), plain(_of(raw, "action") or _of(raw, "arguments")))
                if kind not in ("computer_call", "local_shell_call", "shell_call", "apply_patch_call"):
                    self.teller.tool_result(call_id, name or str(kind), str(_of(raw, "status") or "done"))
            case "handoff_call_item":
                self._call(call_id, name, _arguments(_of(raw, "arguments")))
            case "handoff_output_item" | "tool_call_output_item":
                self._result(call_id, getattr(item, "output", None) or _of(raw, "output"))
            case _:
                pass

    def starts(self, context: Any, tool: Any) -> None:
        call_id = getattr(context, "tool_call_id", None)
        if call_id is not None:
            self._call(call_id, tool.name, _arguments(getattr(context, "tool_arguments", None)))

    def _call(self, call_id: str, name: str, given: Any) -> None:
        self._names[call_id] = name
        if call_id not in self._called:
            self._called.add(call_id)
            self.teller.tool_call(call_id, name, given)

    def _result(self, call_id: str, output: Any) -> None:
        name = self._names.get(call_id, "?")
        self._call(call_id, name, None)
        child = self.teller.nested.pop(call_id, None)
        if child is not None:
            child.teller.end()
        if call_id not in self._denied:
            self.teller.tool_result(call_id, name, output)

    async def resumed(self, result: Any) -> Any:
        """The state to go on from, once everything is answered that was asked at once."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(item)) for item in result.interruptions]
        state = result.to_state()
        for item, task in zip(result.interruptions, asked, strict=True):
            response = task.result()
            if response.approved:
                state.approve(item)
                continue
            reason = f"Denied: {response.reason}" if response.reason else "Denied."
            self._home(item)._deny(item, reason)
            state.reject(item, rejection_message=reason)
        return state

    def _home(self, item: Any) -> _Told:
        """Of a call: the agent whose it is; questions of nested agents come up at the outermost."""
        for told in self.teller.nested.values():
            if item.call_id in told._names:
                return cast(_Told, told)
        return self

    def _deny(self, item: Any, reason: str) -> None:
        self._denied[item.call_id] = reason
        self._call(item.call_id, item.name, _arguments(item.arguments))
        self.teller.tool_result(item.call_id, item.name, reason, "denied")

    async def _ask(self, item: Any) -> RelayResponse:
        given = _arguments(item.arguments)
        params = given if isinstance(given, dict) else {"raw": given}
        response = await self._home(item).teller.ask(item.call_id, item.name, params)
        if response.approved and response.input is not None and response.input != params:
            return RelayResponse(
                approved=False, reason="The OpenAI Agents SDK runs no other arguments than the model's."
            )
        return response

    def end(self, output: Any) -> None:
        """The answer, where the model did not write it: a tool's result as the last word."""
        written = self._text[1]
        if output is None or output == written or (written and not isinstance(output, str)):
            return  # structured output is what the model wrote, as an object
        self.teller.text(output if isinstance(output, str) else json.dumps(plain(output), ensure_ascii=False), new_id())


async def openai_agents_on_stream(event: Any) -> None:
    """For `agent.as_tool(..., on_stream=openai_agents_on_stream)`: its run is shown in the call that it serves."""
    teller, call = current_teller(), event["tool_call"]
    if teller is None or call is None:
        return
    told = teller.nested.get(call.call_id)
    if told is None:
        told = teller.nested[call.call_id] = _Told(teller.child(call.call_id), watched=False)
        told.teller.start()
    told.take(event["event"])


def _of(raw: Any, key: str) -> Any:
    return raw.get(key) if isinstance(raw, dict) else getattr(raw, key, None)


def _arguments(given: Any) -> Any:
    if not isinstance(given, str):
        return plain(given)
    try:
        return json.loads(given) if given else {}
    except ValueError:
        return given


def _input(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as input items of the Responses API."""
    items: list[dict[str, Any]] = []
    for message in messages:
        match message:
            case ToolMessage():
                output = message.content if isinstance(message.content, str) else json.dumps(plain(message.content))
                items.append({"type": "function_call_output", "call_id": message.tool_call_id, "output": output})
            case AssistantMessage():
                if message.content:
                    items.append({"role": "assistant", "content": message.content})
                items += [
                    {
                        "type": "function_call",
                        "call_id": call.id,
                        "name": call.name,
                        "arguments": json.dumps(call.arguments or {}),
                    }
                    for call in message.tool_calls or ()
                ]
            case _:
                content = message.content
                parts = content if isinstance(content, str) else [_part(part) for part in content]
                items.append({"role": message.role, "content": parts})
    return items


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextContentPart():
            return {"type": "input_text", "text": part.text}
        case ImageContentPart():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case DocumentContentPart():
            data = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_file", "filename": "document", "file_data": data}
        case _:
            assert_never(part)
