"""The names that users type, all of those of `llm_gateway_nb.types`, and the ids."""

from __future__ import annotations

import inspect
import typing
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest

import llm_gateway_nb
import llm_gateway_nb.types as types
from llm_gateway_nb.types import EventBase, HarnessEvent, new_id

SOURCE_NAMES = {
    "ContentPart",
    "DocumentContentPart",
    "FileTime",
    "GeneratorHarnessModule",
    "GeneratorInvokeParams",
    "Harness",
    "HarnessEvent",
    "HarnessModule",
    "ImageContentPart",
    "InvokeParams",
    "LoadedHarness",
    "Message",
    "PermissionResponse",
    "Permissions",
    "RelayEvent",
    "TextContentPart",
    "ToolCall",
    "ToolContext",
    "ToolDefinition",
    "ToolExecutionResult",
    "ToolPermission",
}

PUBLIC = {
    "primitives": "AsyncQueue Deferred Passthrough create_passthrough deferred",
    "types": "HarnessEvent dump_event parse_event",
    "permissions": "PermissionPolicy derive_permission matches_permission matches_permissions",
    "providers": "GenerateResponse LLM create_llm list_providers register_provider",
    "tools": "agent_tool ask_user bash_tool mcp_tools patch_tool python_tool read_tool tool",
    "harnesses": "RlmConfig as_callback_harness as_generator_harness create_agent_harness create_rlm_harness load_harness "
    "record register_harness replay with_budget with_compaction with_otel with_rate_limit with_retry",
    "orchestrator": "AgentMultiplexer AgentOrchestrator",
    "graph": "RunTree fold project_messages project_repl project_thread",
    "sessions": "BasicSession",
    "processing": "Summarizer gather_with_progress",
    "exceptions": "AuthenticationError InvalidRequestError ModelNotFoundError ProviderAPIError ProviderConnectionError "
    "ProviderTimeoutError RateLimitError",
    "notebook": "Run RunResult chat compare doctor load_ipython_extension run run_sync show start",
    "adapters": "from_claude_agent_sdk from_langgraph from_openai_agents from_pydantic_ai from_smolagents",
    "server": "DaskExecutor RemoteHarness create_app serve",
    "testing": "ScriptedLLM practice_services script",
}
"""What a release may not lose, by its module."""

FIRST = (
    "BasicSession Permissions Summarizer agent_tool ask_user bash_tool chat compare create_agent_harness create_llm "
    "create_rlm_harness doctor patch_tool python_tool read_tool run run_sync show start tool"
)


@pytest.mark.parametrize("home", PUBLIC)
def test_the_names_that_users_type_are_where_they_are_said_to_be(home: str) -> None:
    module, names = import_module(f"llm_gateway_nb.{home}"), PUBLIC[home].split()
    assert [name for name in names if not hasattr(module, name)] == []
    assert set(names) <= set(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_root_has_what_a_first_notebook_needs_and_nothing_else() -> None:
    assert llm_gateway_nb.__all__ == FIRST.split()
    homes = [import_module(f"llm_gateway_nb.{home}") for home in PUBLIC]
    for name in llm_gateway_nb.__all__:
        assert any(getattr(home, name, None) is getattr(llm_gateway_nb, name) for home in homes), name


def test_every_type_of_the_source_system_is_here_under_its_own_name() -> None:
    assert [name for name in SOURCE_NAMES if not hasattr(types, name)] == []
    assert set(types.__all__) >= SOURCE_NAMES


def test_the_list_of_names_is_sorted_and_complete() -> None:
    there = {name for name, value in vars(types).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert types.__all__ == sorted(types.__all__)
    assert set(types.__all__) == there


def test_every_event_class_is_in_the_union_and_exported() -> None:
    union = set(typing.get_args(HarnessEvent))
    assert {cls for cls in vars(types).values() if inspect.isclass(cls) and issubclass(cls, EventBase)} == {
        *union,
        EventBase,
    }
    assert {cls.__name__ for cls in union} <= set(types.__all__)


def test_every_public_class_and_function_says_what_it_is_for() -> None:
    silent = [
        name
        for name in types.__all__
        if (inspect.isclass(getattr(types, name)) or inspect.isfunction(getattr(types, name)))
        and not getattr(types, name).__doc__
    ]
    assert silent == []


def test_ids_are_uuids_of_version_7_and_sorted_by_birth() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_of_many_threads_are_unique() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id() for _ in range(2_000)], range(8)))
    assert len({each for batch in batches for each in batch}) == 16_000


def test_tab_offers_the_public_names_and_nothing_that_the_module_needs_for_itself() -> None:
    offered = {name for name in dir(llm_gateway_nb) if not name.startswith("__")}
    assert set(llm_gateway_nb.__all__) <= offered
    assert all(
        hasattr(getattr(llm_gateway_nb, name), "__path__") or name in {"errors", "exceptions"}
        for name in offered - set(llm_gateway_nb.__all__)
    )
