"""Messages in the source system's shape, read from dicts and told apart by role."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_nb.errors import InvalidMessagesError
from llm_gateway_nb.testing.strategies import json_values, messages
from llm_gateway_nb.types import (
    AssistantMessage,
    ImageContentPart,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
    parse_messages,
)

CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "image", "mediaType": "image/png", "data": "iVBORw0KGgo="}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "name": "read", "arguments": {"file_path": "a", "maxLines": 1}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "hi"}]},
    {"role": "assistant", "content": "It says hi."},
]


def dump(message: Message) -> dict[str, Any]:
    return message.model_dump(mode="json")


@given(st.lists(messages()))
def test_every_message_survives_the_wire(history: list[Message]) -> None:
    wire = [dump(message) for message in history]
    assert parse_messages(wire) == history
    assert parse_messages(json.loads(json.dumps(wire, allow_nan=False))) == history
    assert [dump(message) for message in parse_messages(wire)] == wire


def test_a_conversation_comes_out_as_it_went_in() -> None:
    history = parse_messages(CONVERSATION)
    assert [type(message) for message in history] == [
        SystemMessage,
        UserMessage,
        AssistantMessage,
        ToolMessage,
        AssistantMessage,
    ]
    assert [dump(message) for message in history] == CONVERSATION


def test_tool_calls_and_tool_call_id_are_spelled_with_underscores() -> None:
    call = AssistantMessage(content=None, tool_calls=[ToolCall(id="c", name="n")])
    assert dump(call) == {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "name": "n"}]}
    assert dump(ToolMessage(tool_call_id="c", content="")) == {"role": "tool", "tool_call_id": "c", "content": ""}


def test_an_assistant_that_says_nothing_has_null_for_content() -> None:
    assert dump(AssistantMessage(content=None)) == {"role": "assistant", "content": None}
    with pytest.raises(InvalidMessagesError, match="content"):
        parse_messages([{"role": "assistant"}])


def test_parts_are_read_in_either_spelling() -> None:
    for key in ("mediaType", "media_type"):
        (message,) = parse_messages([{"role": "user", "content": [{"type": "image", key: "image/png", "data": ""}]}])
        assert message.content == [ImageContentPart(media_type="image/png", data="")]


def test_the_data_of_an_image_is_not_in_its_repr() -> None:
    assert "iVBOR" not in repr(ImageContentPart(media_type="image/png", data="iVBORw0KGgo="))


def test_unknown_keys_survive() -> None:
    wire = [{"role": "user", "content": "hi", "cacheControl": {"ttl": 5}, "snake_key": 1}]
    assert [dump(message) for message in parse_messages(wire)] == wire


def test_messages_and_dicts_mix_and_any_iterable_will_do() -> None:
    first = UserMessage(content="hi")
    assert parse_messages(iter([first, {"role": "user", "content": "hi"}])) == [first, first]
    assert parse_messages(()) == []


@pytest.mark.parametrize(
    ("given_messages", "told"),
    [
        ("hi", 'messages is a list of messages, not a str; pass [{"role": "user"'),
        (b"hi", "not a bytes"),
        ({"role": "user", "content": "hi"}, "not a dict"),
        (None, "messages is a list of messages, not a NoneType."),
        (3, "messages is a list of messages, not a int."),
        ([3], "messages[0]: "),
        ([None], "messages[0]: "),
        ([{"content": "hi"}], "messages[0]: "),
        ([{1: 2}], "messages[0]: "),
        ([{"role": "bot", "content": "hi"}], "Input tag 'bot'"),
        ([{"role": "user", "content": "hi"}, {"role": "user"}], "messages[1] (user.content): Field required"),
        ([{"role": "user", "content": 3}], "messages[0] (user.content.str): Input should be a valid string"),
        ([{"role": "user", "content": [{"type": "image"}]}], "(user.content.0.image.mediaType): Field required"),
        ([{"role": "user", "content": ["hi", "you"]}], "(user.content.0): "),
        ([{"role": "tool", "content": ""}], "(tool.tool_call_id): Field required"),
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "name": "n", "arguments": "{}"}]}],
            "(assistant.tool_calls.0.arguments): Input should be a valid dictionary",
        ),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_messages_of_the_wrong_shape_are_told_by_place_and_reason(given_messages: Any, told: str) -> None:
    with pytest.raises(InvalidMessagesError) as caught:
        parse_messages(given_messages)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_message_says_what_a_message_has() -> None:
    with pytest.raises(InvalidMessagesError, match=r"a message has a `role` \(system, user, assistant, tool\)"):
        parse_messages([{}])


@given(
    json_values()
    | st.text()
    | st.binary()
    | st.lists(st.dictionaries(st.sampled_from(["role", "content"]), json_values()))
)
def test_whatever_is_no_conversation_is_an_invalid_messages_error(data: Any) -> None:
    with contextlib.suppress(InvalidMessagesError):
        parse_messages(data)
