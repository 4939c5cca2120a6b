"""`from_langgraph`: any graph over messages, langchain's `create_agent` among them.

Written from langgraph's page on streaming: modes `messages`, `updates` and `tasks`, with subgraphs. (Version "v3" of
`astream_events` tells the same, and is marked as a beta that may change.) Every subgraph is a run of its own, shown in the
call or run it works for. Interrupts of the human-in-the-loop middleware become questions; so does any other
`interrupt(value)`: yes resumes it with True, no with False, and a person may edit the value that it is resumed with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_gateway_nb.adapters.base import AdaptedHarness, check_agent, last_turn
from llm_gateway_nb.adapters.teller import Teller, plain
from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers.openai_messages import to_openai_messages
from llm_gateway_nb.types import GeneratorInvokeParams, RelayResponse, new_id

if TYPE_CHECKING:
    from langgraph.pregel import Pregel

__all__ = ["from_langgraph"]

_MODES = ["messages", "updates", "tasks"]


def from_langgraph(
    graph: Pregel[Any, Any, Any, Any],
    prompt: str | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> AdaptedHarness:
    """A compiled graph as a harness: `await run(from_langgraph(agent, "…"))`.

    Args:
        state: more of the graph's input, beside `messages`.
        config: as for `graph.astream`. Without a `thread_id` each run is a thread of its own, and knows the history that
            it is given; with one, the graph remembers, and gets only what the person says now.
        options: more for `graph.astream`, such as `context=`.

    Raises:
        ConfigurationError: langgraph is not installed, or this is no graph of its.
    """
    try:
        from langgraph.types import Command
    except ImportError as error:
        raise ConfigurationError("from_langgraph needs langgraph: pip install langgraph.") from error

    check_agent(graph, "astream", "from_langgraph takes a compiled graph (graph.compile())")

    async def drive(teller: Teller, params: GeneratorInvokeParams) -> None:
        settings = dict(config or {})
        configurable = dict(settings.get("configurable", {}))
        remembers = "thread_id" in configurable
        settings["configurable"] = {"thread_id": new_id(), **configurable}
        last = last_turn(params)
        said = to_openai_messages([last] if remembers else params.messages)
        given: Any = {**(state or {}), "messages": said}
        told = _Told(teller)
        while given is not None:
            events = graph.astream(given, settings, stream_mode=_MODES, subgraphs=True, **options)
            async for namespace, mode, data in events:
                told.take(tuple(namespace), mode, data)
            resume = await told.answers()
            given = Command(resume=resume) if resume else None

    return AdaptedHarness("from_langgraph", drive, prompt)


class _Told:
    """What has been told of one run so far, by the namespace of each graph in it."""

    def __init__(self, teller: Teller) -> None:
        self._tellers: dict[tuple[str, ...], Teller] = {(): teller}
        self._calls: dict[str, tuple[Teller, str, Any]] = {}
        self._by_task: dict[str, str] = {}
        self._called: set[str] = set()
        self._settled: set[str] = set()
        self._edited: dict[str, Any] = {}
        self._texts: set[str] = set()
        self._counted: set[str] = set()
        self._interrupts: dict[str, Any] = {}

    def take(self, namespace: tuple[str, ...], mode: str, data: Any) -> None:
        teller = self._teller(namespace)
        if mode == "messages":
            self._message(teller, data[0])
        elif mode == "tasks":
            self._task(namespace, teller, data)
        elif isinstance(data, dict):
            for interrupt in data.get("__interrupt__", ()):
                self._interrupts[interrupt.id] = interrupt.value
            for update in data.values():
                messages = update.get("messages", ()) if isinstance(update, dict) else ()
                for message in messages if isinstance(messages, list | tuple) else [messages]:
                    self._message(teller, message)

    def _teller(self, namespace: tuple[str, ...]) -> Teller:
        """Of a subgraph: a run of its own, below the call whose task has started it, or else below its parent graph."""
        if namespace not in self._tellers:
            task = namespace[-1].partition(":")[2]
            child = self._teller(namespace[:-1]).child(self._by_task.get(task))
            child.start()
            self._tellers[namespace] = child
        return self._tellers[namespace]

    def _message(self, teller: Teller, message: Any) -> None:
        kind = getattr(message, "type", None)
        if kind in ("ai", "AIMessageChunk"):
            if message.id is None:
                message.id = new_id()
            for call in message.tool_calls if kind == "ai" else ():
                self._calls.setdefault(call["id"], (teller, call["name"], call["args"]))
            if kind == "AIMessageChunk" or message.id not in self._texts:
                self._say(teller, message)
            usage = message.usage_metadata
            if usage and message.id not in self._counted:
                self._counted.add(message.id)
                teller.tokens(usage.get("input_tokens"), usage.get("output_tokens"))
        elif kind == "tool" and message.tool_call_id not in self._settled:
            name = message.name or "?"
            self._call(teller, message.tool_call_id, name)
            self._settled.add(message.tool_call_id)
            status = "error" if getattr(message, "status", "success") == "error" else "ok"
            teller.tool_result(message.tool_call_id, name, _text(message.content), status)  # type: ignore[arg-type]  # a Literal

    def _say(self, teller: Teller, message: Any) -> None:
        self._texts.add(message.id)
        content = message.content
        for block in [content] if isinstance(content, str) else content:
            if isinstance(block, str):
                teller.text(block, message.id)
            elif block.get("type") == "text":
                teller.text(block.get("text", ""), message.id)
            elif block.get("type") in ("thinking", "reasoning"):
                teller.reasoning(block.get("thinking") or block.get("reasoning") or "", f"{message.id}/reasoning")

    def _call(self, teller: Teller, call_id: str, name: str, given: Any = None) -> None:
        """A call, once; its arguments as they run, or else as the model gave them."""
        if call_id not in self._called:
            self._called.add(call_id)
            known = self._calls.get(call_id)
            given = self._edited.get(call_id, given)
            teller.tool_call(call_id, name, plain(given if given is not None else known[2] if known else None))

    def _task(self, namespace: tuple[str, ...], teller: Teller, task: dict[str, Any]) -> None:
        if "input" in task:
            for call in _calls_of(task["input"], task["name"]):
                self._by_task[task["id"]] = call["id"]
                self._call(teller, call["id"], call["name"], call["args"])
            return
        below = (*namespace, f"{task['name']}:{task['id']}")
        child = self._tellers.get(below)
        if child is not None and not task.get("interrupts"):
            del self._tellers[below]
            child.end("error" if task.get("error") else "final")

    async def answers(self) -> dict[str, Any]:
        """What each open interrupt is resumed with, all of them asked at once; empty when there is none."""
        async with asyncio.TaskGroup() as group:
            asked = {key: group.create_task(self._answer(value)) for key, value in self._interrupts.items()}
        self._interrupts = {}
        return {key: task.result() for key, task in asked.items()}

    async def _answer(self, value: Any) -> Any:
        if isinstance(value, dict) and "action_requests" in value:
            configs = {config["action_name"]: config["allowed_decisions"] for config in value["review_configs"]}
            taken: set[str] = set()
            async with asyncio.TaskGroup() as group:
                decisions = [
                    group.create_task(self._decide(action, configs.get(action["name"], ("approve", "reject")), taken))
                    for action in value["action_requests"]
                ]
            return {"decisions": [decision.result() for decision in decisions]}
        if isinstance(value, dict) and value.get("type") == "tool_approval":
            return await self._decide(value, value.get("allowed_decisions") or ("approve", "edit", "reject"), set())
        response = await self._tellers[()].ask(new_id(), "interrupt", {"value": plain(value), "resume": True})
        return response.input.get("resume", True) if response.input else response.approved

    async def _decide(self, action: Mapping[str, Any], allowed: Any, taken: set[str]) -> dict[str, Any]:
        name, args = action["name"], action["args"]
        call_id = action.get("tool_call_id") or self._find(name, args, taken)
        taken.add(call_id)
        teller = self._calls[call_id][0] if call_id in self._calls else self._tellers[()]
        response: RelayResponse = await teller.ask(call_id, name, args)
        if response.approved and response.input is not None and response.input != args:
            if "edit" in allowed:
                self._edited[call_id] = response.input  # the graph's history keeps what the model asked for
                self._called.discard(call_id)  # a call that asks from inside its task is told already: told anew
                return {"type": "edit", "edited_action": {"name": name, "args": response.input}}
            response = RelayResponse(approved=False, reason="This graph does not let anybody edit the arguments.")
        if response.approved:
            return {"type": "approve"}
        reason = f"Denied: {response.reason}" if response.reason else "Denied."
        self._call(teller, call_id, name, args)
        self._settled.add(call_id)
        teller.tool_result(call_id, name, reason, "denied")
        return {"type": "reject", "message": reason}

    def _find(self, name: str, args: Any, taken: set[str]) -> str:
        """The call that an action is about: the request itself does not say."""
        for call_id, (_, known, given) in self._calls.items():
            if (known, given) == (name, args) and call_id not in taken and call_id not in self._settled:
                return call_id
        return new_id()


def _calls_of(given: Any, node: str) -> list[dict[str, Any]]:
    """The calls that a task is there to execute."""
    if isinstance(given, dict) and "tool_call" in given:
        given = [given["tool_call"]]
    if isinstance(given, list):
        return [call for call in given if isinstance(call, dict) and call.get("type") == "tool_call"]
    messages = given.get("messages") if isinstance(given, dict) and node == "tools" else None
    return list(getattr(messages[-1], "tool_calls", ())) if messages else []


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else part.get("text", f"[{part.get('type')}]") for part in content]
    return "\n".join(parts)
