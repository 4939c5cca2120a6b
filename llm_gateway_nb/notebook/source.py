"""What a run can be made of: a harness with something to ask it, or any async iterable of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pydantic import BaseModel, ValidationError

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses.budget import with_budget
from llm_gateway_nb.harnesses.replay import Replay
from llm_gateway_nb.harnesses.stream import as_generator
from llm_gateway_nb.orchestrator import AgentOrchestrator
from llm_gateway_nb.orchestrator.orchestrator import Executor
from llm_gateway_nb.permissions import Grants, PermissionPolicy
from llm_gateway_nb.providers.base import request_messages
from llm_gateway_nb.providers.media import Media, media_parts, with_media
from llm_gateway_nb.providers.structured import check_response_model
from llm_gateway_nb.tools import KnownFiles
from llm_gateway_nb.tools.validate import check_tools
from llm_gateway_nb.types import (
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEvent,
    InvokeEnv,
    Message,
    Permissions,
    ToolDefinition,
    UserMessage,
)

__all__ = ["Source", "as_events", "budgeted", "invoke_params"]

Source = GeneratorHarnessModule | AsyncIterable[HarnessEvent]


def invoke_params(
    source: Any,
    prompt: str | None,
    *,
    system_prompt: str | None,
    messages: Sequence[Message | Mapping[str, Any]] | None,
    media: Media | Sequence[Media] | None,
    tools: Sequence[ToolDefinition] | None,
    permissions: Permissions | Mapping[str, Any] | None,
    policy: PermissionPolicy | None,
    model: str | None,
    response_model: type[BaseModel] | None,
    context: str | None,
    settings: dict[str, Any],
) -> GeneratorInvokeParams:
    """The request of a run, checked before anything starts.

    Raises:
        ConfigurationError: no source, nothing to ask, a tool that is none, permissions of the wrong shape.
        InvalidMessagesError: messages of the wrong shape.
    """
    prompt = prompt if prompt is not None or messages is not None else getattr(source, "prompt", None)
    if isinstance(source, Replay) and prompt is None and messages is None:
        invokes = source.recording.invokes  # there is nothing to ask: what was asked is in the recording
        return GeneratorInvokeParams(messages=invokes[0].messages if len(invokes) == 1 else [])
    if not callable(getattr(source, "invoke", None)):
        if not hasattr(source, "__aiter__"):
            raise ConfigurationError(
                f"The first argument is a harness (create_llm(…), create_agent_harness(…)) or an async iterable of "
                f"events, not {source!r}."
            )
        return GeneratorInvokeParams(messages=[UserMessage(content=prompt)] if prompt else [])
    if response_model is not None:
        check_response_model(response_model, stream=False, tools=False)
    if context is not None and not isinstance(context, str):
        raise ConfigurationError(f"context is a text, not a {type(context).__name__}.")
    offered = check_tools(tools)
    allowed = _allowed(permissions)
    history = request_messages(prompt, messages=messages, system_prompt=system_prompt)
    if media:
        history = with_media(history, media_parts(media), prompted=bool(prompt))
    return GeneratorInvokeParams(
        model=model,
        response_model=response_model,
        messages=history,
        context=context,
        tools=offered or None,
        permissions=allowed,
        env=InvokeEnv(grants=Grants(allowed, policy=policy), file_time=KnownFiles()),
        settings=settings or None,
    )


def _allowed(permissions: Permissions | Mapping[str, Any] | None) -> Permissions:
    if permissions is not None and not isinstance(permissions, Permissions | Mapping):
        raise ConfigurationError(f"permissions is a dict such as {{'allowlist': ['bash']}}, not {permissions!r}.")
    try:
        allowed = Permissions.model_validate(permissions if permissions is not None else {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(
            f"permissions ({where}): {first['msg']}; a rule looks like "
            "{'tool': 'bash', 'params': {'command': 'git status *'}}."
        ) from None
    # A peer may be newer, and what it adds is kept; a person who writes `denylist` means something that nobody would hold.
    unknown = sorted(allowed.model_extra or ())
    if unknown:
        raise ConfigurationError(f"permissions has no {unknown[0]!r}; it has 'allowlist', 'allow_once' and 'deny'.")
    return allowed


def budgeted(source: Any, budget: Any) -> Any:
    """A harness with the limits of `budget=`.

    Raises:
        ConfigurationError: it is no mapping of limits, or the source has nothing to limit.
    """
    if not isinstance(budget, Mapping) or not budget.keys() <= {"tokens", "usd", "seconds", "calls"}:
        raise ConfigurationError(
            "budget is a dict of limits, of 'tokens', 'usd', 'seconds' and 'calls', such as {'usd': 0.5}, "
            f"not {budget!r}."
        )
    if not hasattr(source, "invoke"):
        raise ConfigurationError("A budget limits a harness; events that come from elsewhere can't be stopped by it.")
    return with_budget(source, **budget)


async def as_events(
    source: Any, params: GeneratorInvokeParams, executor: Executor | None = None
) -> AsyncGenerator[HarnessEvent, None]:
    """The events of a source, whatever it is; closing this closes that. A harness runs under an orchestrator, so that its
    tools can spawn subagents, here or where `executor` runs them, whose events are in the stream too."""
    if isinstance(source, Replay) or not hasattr(source, "invoke"):
        stream = source.invoke(params) if isinstance(source, Replay) else source
        async with aclosing(as_generator(stream)) as events:
            async for event in events:
                yield event
        return
    orchestrator = AgentOrchestrator(source, executor=executor)
    orchestrator.spawn(params)
    async with aclosing(orchestrator.events()) as merged:
        async for _, event in merged:
            yield event
