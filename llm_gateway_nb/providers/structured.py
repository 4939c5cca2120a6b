"""Answers as instances of a pydantic class: the schema, the instruction where a service takes none, one repair turn."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llm_gateway_nb.errors import ConfigurationError, InvalidRequestError, ProviderAPIError
from llm_gateway_nb.providers.response import GenerateResponse, fold_response
from llm_gateway_nb.types import AssistantMessage, HarnessEvent, Message, SystemMessage, UserMessage

__all__ = ["check_response_model", "instructed", "misfit", "parse_answer", "strict_schema", "structured"]

ModelT = TypeVar("ModelT", bound=BaseModel)

Ask = Callable[[list[Message], type[BaseModel] | None], AsyncGenerator[HarnessEvent, None]]
"""One model call: messages, and the class of the answer where the service is to see to it."""


async def structured(
    ask: Ask, messages: list[Message], answer: type[ModelT], *, native: bool, provider: str, model: str
) -> ModelT:
    """The answer as an instance. Where the service refuses the schema it is put into words instead; an answer that does
    not fit is shown to the model once, with what is wrong.

    Raises:
        ProviderAPIError: the second answer did not fit either; `partial_text` is what it said.
    """
    shape: type[BaseModel] | None = answer
    try:
        response = await fold_response(ask(messages, shape), model)
    except InvalidRequestError:
        if not native:
            raise
        messages, shape = instructed(messages, answer), None
        response = await fold_response(ask(messages, shape), model)
    found, problem = parse_answer(response.content or "", answer)
    if found is None:
        again = [
            *messages,
            AssistantMessage(content=response.content or "(nothing)"),
            UserMessage(content=_AGAIN.format(problem)),
        ]
        response = await fold_response(ask(again, shape), model)
        found, problem = parse_answer(response.content or "", answer)
    if found is None:
        raise ProviderAPIError(
            f"{provider}: {model!r} gave no {answer.__name__}, also when asked twice: {_cut_short(response)}{problem}.",
            provider=provider,
            model=model,
            partial_text=response.content or "",
        )
    return found


def check_response_model(response_model: Any, *, stream: bool, tools: bool) -> None:
    """
    Raises:
        ConfigurationError: it is no pydantic class, or goes with options that it can't go with.
    """
    if not (isinstance(response_model, type) and issubclass(response_model, BaseModel)):
        raise ConfigurationError(f"response_model is a pydantic class, not {response_model!r}.")
    if stream:
        raise ConfigurationError("response_model gives one whole instance; leave stream=True out.")
    if tools:
        raise ConfigurationError(
            "agenerate makes one model call, for tools or for a response_model; an agent harness does both."
        )


def instructed(messages: Sequence[Message], answer: type[BaseModel]) -> list[Message]:
    """A copy of the messages in which the system message asks for JSON of this class."""
    schema = json.dumps(answer.model_json_schema(), ensure_ascii=False)
    ask = f"Answer with one JSON value and nothing around it. It has to fit this JSON Schema:\n{schema}"
    if messages and isinstance(first := messages[0], SystemMessage):
        return [SystemMessage(content=f"{first.content}\n\n{ask}"), *messages[1:]]
    return [SystemMessage(content=ask), *messages]


_AGAIN = "That does not fit: {}. Answer again with the whole JSON object, and nothing else."


def misfit(text: str, answer: type[BaseModel]) -> str:
    """What to tell the model of an answer that does not fit; empty where it fits."""
    found, problem = parse_answer(text, answer)
    return "" if found is not None else _AGAIN.format(problem)


_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def parse_answer(text: str, answer: type[ModelT]) -> tuple[ModelT | None, str]:
    """The instance, or None and what is wrong; JSON in a fence or between sentences is found as well."""
    inside = re.search(r"[{\[].*[}\]]", text, re.DOTALL)
    candidates = [
        text.strip(),
        *(block.strip() for block in _FENCE.findall(text)),
        *([inside.group()] if inside else ()),
    ]
    problem = "there is no JSON in it"
    for candidate in candidates:
        try:
            return answer.model_validate_json(candidate), ""
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            if errors[0]["type"] != "json_invalid":
                problem = "; ".join(_told(one) for one in errors[:3])
    return None, problem


def _told(error: Any) -> str:
    place = ".".join(str(step) for step in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _cut_short(response: GenerateResponse) -> str:
    return "it was cut off at max_tokens; " if response.finish_reason == "length" else ""


def strict_schema(schema: Mapping[str, Any], *, drop: Collection[str]) -> dict[str, Any] | None:
    """A class's schema as services enforce it: every object closed, every property required, no keyword of `drop`.

    None where that can't be said: a top level that is no object, or objects with free keys.
    """
    try:
        strict = _strict(schema, frozenset(drop))
    except _FreeKeysError:
        return None
    return strict if strict.get("type") == "object" else None


class _FreeKeysError(Exception):
    pass


def _strict(schema: Any, drop: frozenset[str]) -> Any:
    if isinstance(schema, list):
        return [_strict(item, drop) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # nothing may stand beside it
    strict: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            strict[key] = {name: _strict(sub, drop) for name, sub in value.items()}
        elif key in ("enum", "const", "required"):
            strict[key] = value
        elif key not in drop and key not in ("default", "title", "examples"):
            strict["anyOf" if key == "oneOf" else key] = _strict(value, drop)
    if schema.get("type") == "object":
        if schema.get("additionalProperties") or "properties" not in schema:
            raise _FreeKeysError
        strict["additionalProperties"] = False
        strict["required"] = list(schema["properties"])
    strict.pop("discriminator", None)
    return strict
