"""The agent loop beside its peers: one tool call and two model turns, on a model that answers at once.

Every framework has its own scripted model, so what is measured is the framework. Ours streams and tells of everything by
events also here; the peers are asked in their cheapest way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from frame import Contender, Figure

RUNS = 40
AT_ONCE = 100
DELTAS = 200
WORDS = [f"word{n} " for n in range(DELTAS)]

_loop: Any = None


def run_in_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """One loop for a whole process, as a notebook has."""
    global _loop
    _loop = _loop or asyncio.new_event_loop()
    return _loop.run_until_complete(work)


def cpu_alone(one: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds of CPU of one run, one after another."""

    async def all_of_them() -> float:
        await one()
        start = time.process_time()
        for _ in range(RUNS):
            await one()
        return (time.process_time() - start) / RUNS * 1000

    return float(run_in_loop(all_of_them()))


def cpu_at_once(one: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds of CPU of one run, a hundred at once."""

    async def all_of_them() -> float:
        await one()
        start = time.process_time()
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
        return (time.process_time() - start) / AT_ONCE * 1000

    return float(run_in_loop(all_of_them()))


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# -- ours ----------------------------------------------------------------------------------------------------------------


def make_ours() -> Callable[[], Awaitable[Any]]:
    from llm_gateway_nb.harnesses import create_agent_harness
    from llm_gateway_nb.testing import ScriptedLLM, call
    from llm_gateway_nb.tools import tool
    from llm_gateway_nb.types import Permissions, UserMessage

    tools, rules, messages = [tool(add_async)], Permissions(allowlist=["add_async"]), [UserMessage(content="1 + 2?")]
    turns = [call("add_async", a=1, b=2), "three"]

    async def one() -> None:
        agent = create_agent_harness(ScriptedLLM(turns))
        last = None
        async for event in agent.invoke(messages=messages, tools=tools, permissions=rules):
            last = event
        assert last is not None
        assert last.type == "harness_end"

    return one


def ours_alone() -> float:
    return cpu_alone(make_ours())


def ours_at_once() -> float:
    return cpu_at_once(make_ours())


# -- agno ----------------------------------------------------------------------------------------------------------------


def make_agno() -> Callable[[], Awaitable[Any]]:
    from agno.agent import Agent
    from agno.models.base import Model
    from agno.models.response import ModelResponse

    class Scripted(Model):
        def __init__(self) -> None:
            super().__init__(id="scripted")
            self.turn = 0

        async def ainvoke(self, *args: Any, **options: Any) -> ModelResponse:
            self.turn += 1
            if self.turn % 2:
                function = {"name": "add_async", "arguments": '{"a": 1, "b": 2}'}
                return ModelResponse(
                    role="assistant", tool_calls=[{"id": f"c{self.turn}", "type": "function", "function": function}]
                )
            return ModelResponse(role="assistant", content="three")

        def invoke(self, *args: Any, **options: Any) -> ModelResponse:
            raise NotImplementedError

        invoke_stream = ainvoke_stream = invoke  # type: ignore[assignment]

        def _parse_provider_response(self, response: Any, **options: Any) -> ModelResponse:
            return ModelResponse(**vars(response))

        _parse_provider_response_delta = _parse_provider_response  # type: ignore[assignment]

    async def one() -> None:
        result = await Agent(model=Scripted(), tools=[add_async], telemetry=False).arun("1 + 2?")
        assert result.content == "three"

    return one


def agno_alone() -> float:
    return cpu_alone(make_agno())


def agno_at_once() -> float:
    return cpu_at_once(make_agno())


# -- langgraph -----------------------------------------------------------------------------------------------------------


def make_langgraph() -> Callable[[], Awaitable[Any]]:
    from langchain.agents import create_agent
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool

    class Scripted(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> ChatResult:
            calls = [{"name": "add_async", "args": {"a": 1, "b": 2}, "id": "c"}]
            answer = AIMessage("three") if messages[-1].type == "tool" else AIMessage("", tool_calls=calls)
            return ChatResult(generations=[ChatGeneration(message=answer)])

        async def _agenerate(self, *args: Any, **options: Any) -> ChatResult:
            return self._generate(*args, **options)

    agent = create_agent(Scripted(), [tool(add_async)])

    async def one() -> None:
        result = await agent.ainvoke({"messages": [("user", "1 + 2?")]})
        assert result["messages"][-1].content == "three"

    return one


def langgraph_alone() -> float:
    return cpu_alone(make_langgraph())


def langgraph_at_once() -> float:
    return cpu_at_once(make_langgraph())


# -- pydantic-ai ---------------------------------------------------------------------------------------------------------


def make_pydantic_ai() -> Callable[[], Awaitable[Any]]:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import FunctionModel

    def model(messages: Any, info: Any) -> ModelResponse:
        if len(messages) == 1:
            return ModelResponse(parts=[ToolCallPart("add_async", {"a": 1, "b": 2}, tool_call_id="c")])
        return ModelResponse(parts=[TextPart("three")])

    agent = Agent(FunctionModel(model), tools=[add_async])

    async def one() -> None:
        assert (await agent.run("1 + 2?")).output == "three"

    return one


def pydantic_ai_alone() -> float:
    return cpu_alone(make_pydantic_ai())


def pydantic_ai_at_once() -> float:
    return cpu_at_once(make_pydantic_ai())


# -- openai-agents -------------------------------------------------------------------------------------------------------


def make_openai_agents() -> Callable[[], Awaitable[Any]]:
    from agents import Agent, Runner, function_tool, set_tracing_disabled
    from agents.testing import ScriptedModel, assistant_message, function_call

    set_tracing_disabled(True)
    tools = [function_tool(add_async)]
    turns = [[function_call("add_async", {"a": 1, "b": 2}, call_id="c")], [assistant_message("three")]]

    async def one() -> None:
        result = await Runner.run(Agent("a", model=ScriptedModel(turns), tools=tools), "1 + 2?")
        assert result.final_output == "three"

    return one


def openai_agents_alone() -> float:
    return cpu_alone(make_openai_agents())


def openai_agents_at_once() -> float:
    return cpu_at_once(make_openai_agents())


# -- smolagents, which is synchronous ------------------------------------------------------------------------------------


def smolagents_alone() -> float:
    from smolagents import Model, ToolCallingAgent, tool
    from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole

    class Scripted(Model):
        def generate(self, messages: Any, **options: Any) -> ChatMessage:
            done = any(message.role == MessageRole.TOOL_RESPONSE for message in messages)
            name, given = ("final_answer", {"answer": "three"}) if done else ("add", {"a": 1, "b": 2})
            function = ChatMessageToolCallFunction(name=name, arguments=given)
            calls = [ChatMessageToolCall(id="c", type="function", function=function)]
            return ChatMessage(role=MessageRole.ASSISTANT, content=None, tool_calls=calls)

    add.__doc__ = "Add two numbers.\n\nArgs:\n    a: one\n    b: other\n"
    agent = ToolCallingAgent(tools=[tool(add)], model=Scripted(), verbosity_level=0)
    assert agent.run("1 + 2?") == "three"
    start = time.process_time()
    for _ in range(RUNS):
        agent.run("1 + 2?")
    return (time.process_time() - start) / RUNS * 1000


# -- a delta of text, with nobody looking --------------------------------------------------------------------------------


def ours_delta() -> float:
    from llm_gateway_nb.harnesses import create_agent_harness
    from llm_gateway_nb.testing import ScriptedLLM
    from llm_gateway_nb.types import UserMessage

    async def one(words: list[str]) -> None:
        agent, seen = create_agent_harness(ScriptedLLM(["".join(words)])), 0
        async for event in agent.invoke(messages=[UserMessage(content="go")]):
            seen += event.type == "text"
        assert seen == len(words)

    return _per_delta(one)


def ours_run_delta() -> float:
    from llm_gateway_nb import create_agent_harness, run
    from llm_gateway_nb.testing import ScriptedLLM

    async def one(words: list[str]) -> None:
        result = await run(create_agent_harness(ScriptedLLM(["".join(words)])), "go", panel=False)
        assert len(result.text) == len("".join(words))

    return _per_delta(one)


def pydantic_ai_delta() -> float:
    from pydantic_ai import Agent
    from pydantic_ai.models.function import FunctionModel

    async def one(words: list[str]) -> None:
        async def stream(messages: Any, info: Any) -> Any:
            for word in words:
                yield word

        async with Agent(FunctionModel(stream_function=stream)).run_stream_events("go") as events:
            async for _ in events:
                pass

    return _per_delta(one)


def _per_delta(one: Callable[[list[str]], Awaitable[None]]) -> float:
    """Microseconds of CPU of one more delta."""

    async def both() -> float:
        took = []
        for words in (WORDS[:2], WORDS):
            await one(words)
            start = time.process_time()
            for _ in range(20):
                await one(words)
            took.append((time.process_time() - start) / 20)
        return (took[1] - took[0]) / (DELTAS - 2) * 1e6

    return float(run_in_loop(both()))


FIGURES = [
    Figure(
        "agent-alone",
        "Agent, one tool call and two turns",
        "ms of CPU a run",
        [
            Contender("llm_gateway_nb", ours_alone),
            Contender("agno", agno_alone, ("agno",)),
            Contender("langgraph", langgraph_alone),
            Contender("openai-agents", openai_agents_alone),
            Contender("pydantic-ai", pydantic_ai_alone),
            Contender("smolagents", smolagents_alone),
        ],
        at_most=1.0,
        in_readme=True,
    ),
    Figure(
        "agent-at-once",
        f"The same, {AT_ONCE} at once",
        "ms of CPU a run",
        [
            Contender("llm_gateway_nb", ours_at_once),
            Contender("agno", agno_at_once, ("agno",)),
            Contender("langgraph", langgraph_at_once),
            Contender("openai-agents", openai_agents_at_once),
            Contender("pydantic-ai", pydantic_ai_at_once),
        ],
        at_most=1.0,
        in_readme=True,
    ),
    Figure(
        "delta",
        "A delta of text, no viewer",
        "µs of CPU a delta",
        [Contender("llm_gateway_nb", ours_delta), Contender("pydantic-ai", pydantic_ai_delta)],
        at_most=0.1,
        in_readme=True,
    ),
    Figure(
        "run-delta",
        "A delta of text, kept by run() without a panel",
        "µs of CPU a delta",
        [Contender("run", ours_run_delta), Contender("the agent alone", ours_delta)],
        note="Both are ours. A run numbers each event, keeps it, folds it into the tree, and reads it through the "
        "orchestrator, which takes two turns of the loop: a stream can be stopped at any moment because a task of its own "
        "waits for it.",
    ),
]
