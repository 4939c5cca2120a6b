"""`from_claude_agent_sdk`: Claude Code by its SDK, from its pages on streaming input and on permissions.

What Claude Code's own rules do not allow becomes a question, by `can_use_tool`; what a person edits is what runs. Subagents
are shown in the call that they serve.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_gateway_nb.adapters.base import AdaptedHarness, last_prompt
from llm_gateway_nb.adapters.teller import Teller
from llm_gateway_nb.errors import ConfigurationError, HarnessError
from llm_gateway_nb.types import GeneratorInvokeParams, new_id

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions

__all__ = ["from_claude_agent_sdk"]


def from_claude_agent_sdk(options: ClaudeAgentOptions | None = None, prompt: str | None = None) -> AdaptedHarness:
    """Claude Code as a harness: `await run(from_claude_agent_sdk(ClaudeAgentOptions(…), "…"))`.

    A run with earlier messages goes on with the session of the run before, where there was one: Claude Code keeps its own
    history. A `can_use_tool` of the caller's own is left alone.

    Raises:
        ConfigurationError: the SDK is not installed.
    """
    try:
        from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient
    except ImportError as error:
        raise ConfigurationError("from_claude_agent_sdk needs the SDK: pip install claude-agent-sdk.") from error
    given = options or ClaudeAgentOptions()
    session: list[str] = []

    async def drive(teller: Teller, params: GeneratorInvokeParams) -> None:
        told = _Told(teller)
        settings = replace(
            given,
            include_partial_messages=True,
            can_use_tool=given.can_use_tool or told.may,
            resume=session[-1] if session and len(params.messages) > 1 else given.resume,
        )
        async with ClaudeSDKClient(settings) as client:
            await client.query(last_prompt(params))
            async for message in client.receive_response():
                told.take(message)
        session[:] = [told.session] if told.session else session

    return AdaptedHarness("from_claude_agent_sdk", drive, prompt, given.model)


class _Told:
    """What has been told of one run so far."""

    def __init__(self, teller: Teller) -> None:
        self.session: str | None = None
        self._tellers: dict[str | None, Teller] = {None: teller}
        self._names: dict[str, str] = {}
        self._home: dict[str, Teller] = {}
        self._denied: set[str] = set()
        self._streamed: set[str | None] = set()
        self._streaming: dict[Teller, str] = {}

    def take(self, message: Any) -> None:
        match type(message).__name__:
            case "StreamEvent":
                self._delta(self._teller(message.parent_tool_use_id), message.event)
            case "AssistantMessage":
                self._assistant(self._teller(message.parent_tool_use_id), message)
            case "UserMessage" if isinstance(message.content, list):
                for block in message.content:
                    if type(block).__name__ == "ToolResultBlock":
                        self._result(block)
            case "ResultMessage":
                self._end(message)
            case _:
                pass

    def _teller(self, call_id: str | None) -> Teller:
        if call_id not in self._tellers:
            parent = self._home.get(call_id or "", self._tellers[None])
            child = self._tellers[call_id] = parent.child(call_id)
            child.start()
        return self._tellers[call_id]

    def _delta(self, teller: Teller, event: dict[str, Any]) -> None:
        if event.get("type") == "message_start":
            self._streaming[teller] = event["message"]["id"]
            self._streamed.add(event["message"]["id"])
        elif event.get("type") == "content_block_delta":
            delta = event["delta"]
            of = f"{self._streaming.get(teller)}/{event['index']}"
            teller.text(delta.get("text", ""), of)
            teller.reasoning(delta.get("thinking", ""), of)

    def _assistant(self, teller: Teller, message: Any) -> None:
        for block in message.content:
            match type(block).__name__:
                case "TextBlock" if message.message_id not in self._streamed:
                    teller.text(block.text, new_id())
                case "ThinkingBlock" if message.message_id not in self._streamed:
                    teller.reasoning(block.thinking, new_id())
                case "ToolUseBlock" | "ServerToolUseBlock":
                    self._names[block.id], self._home[block.id] = block.name, teller
                    teller.tool_call(block.id, block.name, block.input)
                case "ServerToolResultBlock":
                    self._result(block)
                case _:
                    pass

    def _result(self, block: Any) -> None:
        call_id = block.tool_use_id
        child = self._tellers.pop(call_id, None)
        if child is not None:
            child.end()
        if call_id in self._denied:
            return
        content = block.content
        if isinstance(content, list):
            content = "\n".join(part.get("text", f"[{part.get('type')}]") for part in content)
        status = "error" if getattr(block, "is_error", False) else "ok"
        teller = self._home.get(call_id, self._tellers[None])
        teller.tool_result(call_id, self._names.get(call_id, "?"), content or "", status)  # type: ignore[arg-type]  # a Literal

    async def may(self, tool: str, given: dict[str, Any], context: Any) -> Any:
        """The SDK's `can_use_tool`."""
        from claude_agent_sdk import PermissionResultAllow, PermissionResultDeny

        call_id = context.tool_use_id or new_id()
        teller = self._home.get(call_id, self._tellers[None])
        response = await teller.ask(call_id, tool, given)
        if response.approved:
            if response.input is not None and response.input != given:
                teller.tool_call(call_id, tool, response.input)  # told already with the model's: what runs is this
            return PermissionResultAllow(updated_input=response.input or given)
        reason = f"Denied: {response.reason}" if response.reason else "Denied."
        self._denied.add(call_id)
        teller.tool_result(call_id, tool, reason, "denied")
        return PermissionResultDeny(message=reason)

    def _end(self, result: Any) -> None:
        self.session = result.session_id
        usage = result.usage or {}
        read = (
            usage.get(key) or 0 for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        )
        self._tellers[None].tokens(sum(read), usage.get("output_tokens"))
        if result.is_error:
            raise HarnessError(f"Claude Code ended with an error: {result.result or result.subtype}")
