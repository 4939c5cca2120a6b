"""The names of `llm_gateway_nb.types`, and the ids."""

from __future__ import annotations

import inspect
import typing
import uuid
from concurrent.futures import ThreadPoolExecutor

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
