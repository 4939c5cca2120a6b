"""Agents that run side by side and spawn each other: one merged stream, questions answered by id, and a kill that reaches
everything below.

A subagent is an agent like any other; it differs in who waits for it: the tool call that spawned it gets its last text, or
its failure. What is known of an agent is taken down when its events are read, not when they are fetched, so that it is
what the reader knows.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ConfigurationError, SubagentError
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.orchestrator.agent import Agent
from llm_gateway_nb.orchestrator.multiplexer import AgentMultiplexer
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.tools import KnownFiles
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEndEvent,
    HarnessEvent,
    HarnessStartEvent,
    InvokeEnv,
    PermissionResponse,
    RelayEvent,
    RelayResponse,
    SystemMessage,
    TextEvent,
    ToolCallEvent,
    ToolPermission,
    ToolResultEvent,
    UserMessage,
    new_id,
)

__all__ = ["AgentOrchestrator", "Executor"]


class Executor(Protocol):
    """Where subagents run, if not in this process.

    `takes_roots`: the agents that are spawned from outside run there too.
    """

    takes_roots: bool

    def invoke(
        self, harness: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        """The events of one invoke of `harness`, wherever it runs; closing them ends it there."""


class AgentOrchestrator:
    """Runs a harness any number of times at once, and gives its tools `ctx.spawn`.

    Use it from one event loop. Whoever reads `events()` owns the agents: when the reading ends, they are stopped.

    Args:
        harness: what every agent is an invoke of.
        max_depth: how deep subagents may nest; None takes it from the harness, else 3.
        max_children: how many subagents one spawned agent may come to have, over its whole tree.
        executor: runs the subagents elsewhere, such as `llm_gateway_nb.server.DaskExecutor`; what they spawn is theirs.
    """

    def __init__(
        self,
        harness: GeneratorHarnessModule,
        *,
        max_depth: int | None = None,
        max_children: int = 100,
        executor: Executor | None = None,
    ) -> None:
        if not callable(getattr(harness, "invoke", None)):
            raise ConfigurationError(
                f"AgentOrchestrator takes a harness, something with `invoke(params)`, not {harness!r}; "
                "create_agent_harness(…) gives one."
            )
        self._harness = harness
        self._max_depth: int = max_depth if max_depth is not None else getattr(harness, "max_depth", 3)
        self._max_children = max_children
        self._executor = executor
        self._streams: AgentMultiplexer[HarnessEvent] = AgentMultiplexer()
        self._agents: dict[str, Agent] = {}
        self._relays: dict[str, tuple[Agent, RelayEvent | BudgetRelayEvent]] = {}
        self._asked: dict[str, str] = {}  # tool-call id → relay id

    def spawn(self, params: GeneratorInvokeParams | None = None, /, **fields: Any) -> str:
        """Start an agent and return its id, a UUID version 7. Takes what `invoke` takes.

        Raises:
            InvalidMessagesError: at once, before anything runs.
        """
        return self._spawn(GeneratorInvokeParams.of(params, fields), parent=None).id

    def kill(self, agent_id: str) -> None:
        """Stop an agent and all that it spawned: model calls, tools, shells; its questions are withdrawn. Each run that
        had started gets a `harness_end` with reason `cancelled` in the stream. An unknown id is ignored."""
        agent = self._agents.get(agent_id)
        if agent is None:
            return
        for child in list(agent.children.values()):
            self.kill(child.id)
        self._streams.unregister(agent_id)
        farewell = [
            HarnessEndEvent(run_id=run_id, parent_id=parent_id, reason="cancelled", total_usage=agent.total(run_id))
            for run_id, parent_id in reversed(agent.open_runs.items())
        ]
        if farewell:
            self._streams.register(agent_id, _each(farewell))
        self._over(agent, SubagentError("The subagent was stopped.", agent_id=agent_id))

    def resolve_relay(self, relay_id: str, response: PermissionResponse | Mapping[str, Any]) -> bool:
        """Answer a question. True if this answer counted; False if it is unknown, was answered, or its agent is gone.

        `always: true` grants the rule that the relay shows, for the whole tree, before anything goes on.

        Raises:
            ValueError: `response` is not a response.
        """
        if not isinstance(response, RelayResponse):
            data = response.model_dump() if isinstance(response, PermissionResponse) else response
            response = RelayResponse.model_validate(data)
        agent, relay = self._relays.pop(relay_id, (None, None))
        if agent is None or relay is None or not relay.respond(response):
            return False
        if response.approved and response.always and isinstance(relay, RelayEvent) and relay.rule is not None:
            agent.grants.grant(ToolPermission.model_validate(relay.rule))
        return True

    async def events(self) -> AsyncGenerator[tuple[str, HarnessEvent], None]:
        """`(agent_id, event)` of all agents as they come, until nobody is left. Order within an agent is kept.

        Closing this, or a cancel of whoever reads it, stops every agent and waits until it is gone; then nobody reads, and
        there is no `harness_end`.
        """
        async with aclosing(self._streams.events()) as events:
            try:
                async for agent_id, event in events:
                    agent = self._agents.get(agent_id)
                    yield agent_id, event if agent is None else self._seen(agent, event)
            finally:  # before the streams are closed: what they do about it must not start anything
                for agent in list(self._agents.values()):
                    self._over(agent, SubagentError("The subagent was stopped.", agent_id=agent.id))

    def __repr__(self) -> str:
        return f"AgentOrchestrator({self._harness!r}, agents={len(self._agents)}, relays={len(self._relays)})"

    # -- one agent ---------------------------------------------------------------------------------------------------

    def _spawn(self, params: GeneratorInvokeParams, *, parent: Agent | None) -> Agent:
        given = params.env or InvokeEnv()
        grants = given.grants if given.grants is not None else Grants(params.permissions)
        agent = Agent(new_id(), parent, depth=given.depth or 0, grants=grants)

        async def spawn(task: str, parent_id: str) -> str:
            return await self._subagent(agent, task, parent_id)

        env = given.model_copy(
            update={
                "spawn": spawn,
                "grants": grants,
                "file_time": given.file_time or KnownFiles(),
                "shared": {} if given.shared is None else given.shared,
            }
        )
        agent.params = params.model_copy(update={"env": env})
        self._agents[agent.id] = agent
        self._streams.register(agent.id, self._run(agent))
        return agent

    async def _run(self, agent: Agent) -> AsyncGenerator[HarnessEvent, None]:
        try:
            if self._executor is not None and (agent.parent is not None or self._executor.takes_roots):
                stream = self._executor.invoke(self._harness, agent.params)
            else:
                stream = as_generator(self._harness.invoke(agent.params))
            async with aclosing(stream) as events:
                async for event in events:
                    yield event
        except Exception as error:  # noqa: BLE001  (a harness that raises ends its own run)
            agent.failure = error
            yield ErrorEvent(run_id=agent.run_id or agent.id, error=error)
        for run_id, parent_id in list(reversed(agent.open_runs.items())):  # of a harness that does not say that it ends
            yield HarnessEndEvent(run_id=run_id, parent_id=parent_id, reason="error" if agent.failure else "final")
        self._over(agent, agent.verdict())

    async def _subagent(self, parent: Agent, task: str, parent_id: str) -> str:
        """Run a task to its end and give the last text.

        Raises:
            SubagentError: a limit is reached; or it failed, or was stopped.
        """
        if parent.id not in self._agents:
            raise SubagentError("The agent was stopped; nobody is spawned any more.")
        depth = parent.depth + 1
        if depth > self._max_depth:
            raise SubagentError(
                f"Subagents may nest {self._max_depth} deep, and this one would be at depth {depth}; "
                "do the task without one."
            )
        if parent.root.descendants >= self._max_children:
            raise SubagentError(
                f"No more than {counted(self._max_children, 'subagent')} may be spawned, and that many have been; do the "
                "task without one."
            )
        parent.root.descendants += 1
        messages = [message for message in parent.params.messages if isinstance(message, SystemMessage)]
        above = parent.params.env
        env = InvokeEnv(
            parent_id=parent_id, depth=depth, grants=parent.grants, file_time=above.file_time, shared=above.shared
        )
        params = parent.params.model_copy(
            update={
                "messages": [*messages, UserMessage(content=task)],
                "context": None,
                "response_model": None,
                "env": env,
            }
        )
        child = self._spawn(params, parent=parent)
        try:
            return await child.answer.promise
        finally:
            if child.id in self._agents:  # whoever waited was cancelled
                self.kill(child.id)
                await self._streams.closed(child.id)

    def _seen(self, agent: Agent, event: HarnessEvent) -> HarnessEvent:
        """Take down what the reader is being shown."""
        if isinstance(event, TextEvent):  # most of them, and nothing more to it
            agent.note_text(event)
            return event
        match event:
            case HarnessStartEvent():
                agent.open_runs[event.run_id] = event.parent_id
            case HarnessEndEvent():
                agent.open_runs.pop(event.run_id, None)
                if event.run_id == agent.run_id and agent.below.any():
                    event = event.model_copy(update={"total_usage": agent.below.plus(event.total_usage)})
            case RelayEvent() | BudgetRelayEvent():
                self._relays[event.id] = agent, event
                if isinstance(event, RelayEvent):
                    self._asked[event.tool_call_id] = event.id
            case ToolCallEvent() | ToolResultEvent():
                relay_id = self._asked.pop(event.id, None)
                if relay_id is not None:  # decided, if not by `resolve_relay` then by a rule or by a clock
                    self._relays.pop(relay_id, None)
            case _:
                pass
        agent.note(event)
        return event

    def _over(self, agent: Agent, verdict: str | SubagentError) -> None:
        """It is gone: its questions are withdrawn, whoever waits for it goes on."""
        if self._agents.pop(agent.id, None) is None:
            return
        for relay_id, (asker, _) in list(self._relays.items()):
            if asker is agent:
                del self._relays[relay_id]
        agent.leave()
        if isinstance(verdict, str):
            agent.answer.resolve(verdict)
        else:
            agent.answer.reject(verdict)


async def _each(events: list[HarnessEndEvent]) -> AsyncGenerator[HarnessEvent, None]:
    for event in events:
        yield event
