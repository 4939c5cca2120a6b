"""The message history that a run leaves behind: valid for the next request to any provider.

Every call has exactly one result, whatever was denied, failed or cut off; ids are the raw ones that the service gave.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from llm_gateway_nb.graph.fold import content_text
from llm_gateway_nb.graph.tree import Node, RunTree
from llm_gateway_nb.types import AssistantMessage, ContentPart, Message, ToolCall, ToolMessage
from llm_gateway_nb.types.wire import text_of

__all__ = ["INTERRUPTED", "last_text", "project_messages"]

INTERRUPTED = "The call was interrupted before it had a result."

_parts: TypeAdapter[list[ContentPart]] = TypeAdapter(list[ContentPart])


def project_messages(tree: RunTree, run_id: str | None = None) -> list[Message]:
    """The messages that a run added: assistant turns with their calls, and a tool message a call, in call order.

    Args:
        run_id: which run; None is the first one at the top. The user's turn is not among them: the caller has it.
    """
    run = tree.find(run_id) if run_id is not None else next((n for n in tree.roots if n.kind in {"run", "turn"}), None)
    if run is None:
        return []
    messages: list[Message] = []
    text, calls = "", list[Node]()

    def flush() -> None:
        nonlocal text, calls
        if text or calls:
            tool_calls = [
                ToolCall(id=_raw(node), name=node.props["name"], arguments=_arguments(node)) for node in calls
            ]
            last = messages[-1] if messages else None
            if isinstance(last, AssistantMessage) and not last.tool_calls:  # roles alternate
                text = "\n\n".join(part for part in (last.content, text) if part)
                messages.pop()
            messages.append(AssistantMessage(content=text or None, tool_calls=tool_calls or None))
            messages.extend(ToolMessage(tool_call_id=_raw(node), content=_result(node)) for node in calls)
        text, calls = "", []

    for node in run.children:
        match node.kind:
            case "text":
                if calls:
                    flush()
                text += node.text()
            case "turn":
                flush()
                text = "".join(child.text() for child in node.children if child.kind == "text")
                calls = [child for child in node.children if child.kind == "tool"]
            case "tool":
                if node.props.get("laterTurn"):
                    flush()
                calls.append(node)
            case "repl":
                text = ""  # what came before was code for the REPL; the answer comes after the last of it
            case _:
                pass
    flush()
    return messages


def _raw(node: Node) -> str:
    return node.id.removeprefix(f"{node.run_id}/")


def _arguments(node: Node) -> dict[str, Any]:
    given = node.props.get("input")
    return given if isinstance(given, dict) else {} if given is None else {"raw": given}


def _result(node: Node) -> str | list[ContentPart]:
    if "output" not in node.props:
        return "" if node.status == "ok" else INTERRUPTED
    output = node.props["output"]
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        with suppress(ValidationError):  # a list that is no list of parts
            return _parts.validate_python(output)
    try:
        return json.dumps(output, ensure_ascii=False, default=text_of)
    except (TypeError, ValueError):  # keys that are no text; a list in itself
        return text_of(output)


def last_text(tree: RunTree, run_id: str | None = None) -> str:
    """The text of the last assistant message: the answer."""
    for message in reversed(project_messages(tree, run_id)):
        if isinstance(message, AssistantMessage) and message.content:
            return content_text(message.content)
    return ""
