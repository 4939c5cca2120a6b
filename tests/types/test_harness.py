"""What a harness is invoked with, and what makes one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.types import (
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    Harness,
    HarnessEvent,
    HarnessModule,
    InvokeEnv,
    InvokeParams,
    LoadedHarness,
    Permissions,
    TextEvent,
    ToolDefinition,
    UserMessage,
)


class Echo:
    async def invoke(self, params: GeneratorInvokeParams, /) -> AsyncIterator[HarnessEvent]:
        yield TextEvent(run_id="r", id="1", content=str(params.messages[-1].content))

    async def supported_models(self) -> list[str]:
        return []


async def spawn(task: str, parent_id: str) -> str:
    return task


def test_params_are_read_from_the_wire_with_everything_nested() -> None:
    wire = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "context": "more",
        "tools": [{"name": "now", "description": "The time", "schema": {"type": "object"}}],
        "env": {"parentId": "p"},
        "permissions": {"allowlist": [{"tool": "now"}]},
    }
    params = GeneratorInvokeParams.model_validate(wire)
    assert params.messages == [UserMessage(content="hi")]
    assert isinstance(params.env, InvokeEnv)
    assert isinstance(params.permissions, Permissions)
    assert [type(tool) for tool in params.tools or []] == [ToolDefinition]
    assert params.model_dump(mode="json") == wire


def test_two_tools_of_one_name_are_refused_in_either_form() -> None:
    twice = [
        ToolDefinition(name="read", description=text, schema_={"type": "object"}) for text in ("ours", "a server's")
    ]
    with pytest.raises(ConfigurationError, match="Two tools are named 'read'"):
        GeneratorInvokeParams.of(None, {"messages": [], "tools": twice})
    with pytest.raises(ConfigurationError, match="Two tools are named 'read'"):
        GeneratorInvokeParams.of(GeneratorInvokeParams(messages=[], tools=twice), {})


def test_functions_do_not_travel() -> None:
    env = InvokeEnv(parent_id="p", spawn=spawn, grants=object())
    params = GeneratorInvokeParams(messages=[UserMessage(content="hi")], env=env)
    assert params.env is not None
    assert params.env.spawn is spawn
    assert params.model_dump(mode="json") == {
        "messages": [{"role": "user", "content": "hi"}],
        "env": {"parentId": "p"},
    }


def test_messages_are_needed() -> None:
    with pytest.raises(ValueError, match="messages"):
        GeneratorInvokeParams()


def test_the_callback_form_takes_a_function_for_the_events() -> None:
    seen: list[HarnessEvent] = []
    params = InvokeParams(messages=[{"role": "user", "content": "hi"}], emit=seen.append, context={"parentId": "p"})
    params.emit(TextEvent(run_id="r", id="1", content="hi"))
    assert len(seen) == 1
    assert params.context is not None
    assert params.context.parent_id == "p"
    assert "emit" not in params.model_dump(mode="json")


async def test_any_object_with_the_two_methods_is_a_harness() -> None:
    echo = Echo()
    assert isinstance(echo, GeneratorHarnessModule)
    assert isinstance(echo, HarnessModule)  # at run time a protocol knows names, not what they give back
    assert not isinstance(object(), GeneratorHarnessModule)
    params = GeneratorInvokeParams(messages=[UserMessage(content="hi")])
    assert [event.content async for event in echo.invoke(params) if isinstance(event, TextEvent)] == ["hi"]


def test_what_is_known_of_a_harness_survives_the_wire() -> None:
    wire: dict[str, Any] = {
        "id": "1",
        "name": "echo",
        "description": "Says it again",
        "modulePath": "echo.py",
        "supportedModels": ["a"],
        "registeredAt": 1.5,
    }
    harness = Harness.model_validate(wire)
    assert harness.model_dump(mode="json") == wire
    loaded = LoadedHarness(harness=harness, module=Echo())
    assert loaded.model_dump(mode="json") == {"harness": wire}
