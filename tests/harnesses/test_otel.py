"""`with_otel`, read back from the SDK's own exporter."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses import create_agent_harness, with_otel
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.testing import ScriptedLLM, call
from llm_gateway_nb.tools import agent_tool, tool
from llm_gateway_nb.types import ToolCallEvent

GO = [{"role": "user", "content": "the secret question"}]


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


class Traced:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order they began."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def tree(self) -> list[tuple[str, str | None]]:
        """Each span's name, and its parent's."""
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        return [(span.name, names.get(span.parent.span_id) if span.parent else None) for span in self.spans]

    def named(self, name: str) -> dict[str, Any]:
        return dict(next(span for span in self.spans if span.name == name).attributes or {})


async def collect(harness: Any, **params: Any) -> None:
    async for _ in harness.invoke(messages=GO, permissions={"allowlist": ["add", "agent"]}, **params):
        pass


async def test_an_agent_its_model_calls_and_its_tools_are_spans_in_each_other() -> None:
    traced = Traced()
    agent = create_agent_harness(ScriptedLLM([call("add", a=1), "three"]))
    with traced.provider.get_tracer("mine").start_as_current_span("mine"):
        await collect(with_otel(agent, tracer_provider=traced.provider), tools=[add])
    assert traced.tree() == [
        ("mine", None),
        ("invoke_agent", "mine"),
        ("chat scripted", "invoke_agent"),
        ("execute_tool add", "invoke_agent"),
        ("chat scripted", "invoke_agent"),
    ]
    chat, run = traced.named("chat scripted"), traced.named("invoke_agent")
    assert (chat["gen_ai.operation.name"], chat["gen_ai.request.model"]) == ("chat", "scripted")
    assert run["gen_ai.usage.output_tokens"] >= chat["gen_ai.usage.output_tokens"] > 0
    assert run["llm_gateway_nb.reason"] == "final"
    assert traced.named("execute_tool add")["gen_ai.tool.name"] == "add"


async def test_content_stays_out_unless_it_is_asked_for() -> None:
    for content in (False, True):
        traced = Traced()
        agent = create_agent_harness(ScriptedLLM([call("add", a=41_414_141_414_141), "the secret answer"]))
        await collect(with_otel(agent, tracer_provider=traced.provider, content=content), tools=[add])
        everything = "".join(span.to_json() for span in traced.spans)
        for secret in ("secret question", "secret answer", "41414141414141", "41414141414143"):
            assert (secret in everything) is content, secret


async def test_a_subagent_hangs_from_the_tool_that_spawned_it() -> None:
    traced = Traced()
    agent = create_agent_harness(ScriptedLLM([call("agent", task="look"), "found", "done"]))
    orchestrator = AgentOrchestrator(with_otel(agent, tracer_provider=traced.provider))
    orchestrator.spawn(messages=GO, tools=[agent_tool], permissions={"allowlist": ["agent"]})
    async for _ in orchestrator.events():
        pass
    assert traced.tree() == [
        ("invoke_agent", None),
        ("chat scripted", "invoke_agent"),
        ("execute_tool agent", "invoke_agent"),
        ("invoke_agent", "execute_tool agent"),
        ("chat scripted", "invoke_agent"),
        ("chat scripted", "invoke_agent"),
    ]


async def test_a_model_alone_is_one_span_and_stays_a_model() -> None:
    traced = Traced()
    llm = with_otel(ScriptedLLM(["hello"]), tracer_provider=traced.provider)
    assert (await llm.agenerate("hi")).content == "hello"
    assert traced.tree() == [("chat scripted", None)]
    assert traced.named("chat scripted")["gen_ai.provider.name"] == "scripted"


async def test_failures_and_denials_are_errors_of_their_spans() -> None:
    @tool
    def broken() -> None:
        """Break."""
        raise ValueError("the secret reason")

    traced = Traced()
    agent = create_agent_harness(ScriptedLLM([call("broken"), RuntimeError("the secret outage")]))
    harness = with_otel(agent, tracer_provider=traced.provider)
    async for _ in harness.invoke(messages=GO, tools=[broken], permissions={"allowlist": ["broken"]}):
        pass
    failed = {span.name: (span.attributes or {}).get("error.type") for span in traced.spans if not span.status.is_ok}
    assert failed["execute_tool broken"] == "error"
    assert set(failed) >= {"invoke_agent", "execute_tool broken"}
    assert "secret" not in "".join(span.to_json() for span in traced.spans)


async def test_a_run_that_is_stopped_leaves_no_span_open() -> None:
    traced = Traced()
    agent = create_agent_harness(ScriptedLLM([call("add", a=1), "three"]))
    events = with_otel(agent, tracer_provider=traced.provider).invoke(
        messages=GO, tools=[add], permissions={"allowlist": ["add"]}
    )
    async for event in events:
        if isinstance(event, ToolCallEvent):
            break
    await events.aclose()
    assert {span.name for span in traced.spans} == {"invoke_agent", "chat scripted", "execute_tool add"}
    assert traced.named("invoke_agent")["error.type"] == "cancelled"


def test_without_opentelemetry_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'llm-gateway-nb\[otel\]'"):
        with_otel(ScriptedLLM([]))
    with pytest.raises(ConfigurationError, match=r"pip install|takes a harness"):
        with_otel(3)  # type: ignore[type-var]
