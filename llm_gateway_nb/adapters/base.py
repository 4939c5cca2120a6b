"""What every adapter is made of: a harness around another framework's run.

The framework runs in a task of its own, which fills a stream; the generator reads it. Closing the generator cancels the
task and waits until it is gone, so a stop in the notebook stops the framework too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from llm_gateway_nb.adapters.teller import Teller, telling
from llm_gateway_nb.errors import ConfigurationError, HarnessError
from llm_gateway_nb.permissions import Grants
from llm_gateway_nb.primitives import Passthrough, create_passthrough
from llm_gateway_nb.types import (
    GeneratorInvokeParams,
    HarnessEvent,
    InvokeEnv,
    SystemMessage,
    UserMessage,
)

__all__ = ["AdaptedHarness", "Drive", "check_agent", "last_prompt", "last_turn", "nested"]

Drive = Callable[[Teller, GeneratorInvokeParams], Awaitable[None]]
"""Runs the framework and tells; what it raises is how the run ended."""


class AdaptedHarness:
    """Another framework's agent as a harness: give it to `run` or `start`, or read it with `async for`.

    Attributes:
        prompt: what it is asked where whoever invokes it asks nothing.
    """

    def __init__(self, name: str, drive: Drive, prompt: str | None, model: str | None = None) -> None:
        self.prompt = prompt
        self.model = model
        self._name = name
        self._drive = drive

    def __repr__(self) -> str:
        return f"{self._name}({self.prompt!r})" if self.prompt else f"{self._name}()"

    async def supported_models(self) -> list[str]:
        return [self.model] if self.model else []

    def __aiter__(self) -> AsyncGenerator[HarnessEvent, None]:
        return self.invoke(messages=[UserMessage(content=self.prompt)] if self.prompt else [])

    def invoke(
        self, params: GeneratorInvokeParams | None = None, /, **fields: Any
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One run of the agent, asked what `messages` end with.

        Raises:
            ConfigurationError: something is asked for that is the other framework's to set: tools, a model, settings, ….
        """
        whole = GeneratorInvokeParams.of(params, fields)
        for name in ("tools", "model", "settings", "response_model", "context"):
            if getattr(whole, name):
                raise ConfigurationError(f"{self._name} takes no `{name}`: set it where the agent is made.")
        return self._events(whole)

    async def _events(self, params: GeneratorInvokeParams) -> AsyncGenerator[HarnessEvent, None]:
        env = params.env or InvokeEnv()
        grants = env.grants if env.grants is not None else Grants(params.permissions)
        stream: Passthrough[HarnessEvent] = create_passthrough()
        teller = Teller(stream, grants, env.parent_id, env.depth or 0)
        teller.start(self.model)
        owner = asyncio.create_task(self._run(teller, params), name=f"llm_gateway_nb {self._name}")
        owner.add_done_callback(lambda _: stream.end())
        try:
            async for event in stream.iterable:
                yield event
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    async def _run(self, teller: Teller, params: GeneratorInvokeParams) -> None:
        token = telling.set((teller, None))
        try:
            await self._drive(teller, params)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            teller.error(HarnessError(f"The run was cancelled by {self._name[5:]} itself."))
            teller.end("error")
        except Exception as error:  # noqa: BLE001  (whatever another framework raises is how this run ended)
            teller.error(error)
            teller.end("error")
        else:
            teller.end()
        finally:
            telling.reset(token)


def check_agent(agent: Any, method: str, wanted: str) -> None:
    """
    Raises:
        ConfigurationError: an agent of another framework, or something that is none.
    """
    if not callable(getattr(agent, method, None)):
        raise ConfigurationError(f"{wanted}, not {agent!r}.")


async def nested(harness: Any, prompt: str | None = None) -> str:
    """Run a harness from inside a tool of an adapted agent, shown in the call that it serves; gives its last text.

    `await nested(from_pydantic_ai(researcher), task)` in the place of `await researcher.run(task)`. Its questions appear
    in the same panel, and it has no more than its parent may. Outside of a run it works as well, unseen.

    Raises:
        HarnessError: the nested agent failed.
    """
    prompt = prompt if prompt is not None else getattr(harness, "prompt", None)
    current = telling.get()
    if current is None:
        teller, call_id = Teller(create_passthrough(), Grants(), None), None
    else:
        teller, call_id = current
    env = InvokeEnv(
        parent_id=teller.named(call_id) if call_id else teller.run_id,
        grants=teller.grants.narrowed(None),
        depth=teller.depth + 1,
    )
    params = GeneratorInvokeParams(messages=[UserMessage(content=prompt or "")], env=env)
    async with aclosing(harness.invoke(params)) as events:
        return await teller.pass_on(events)


def last_turn(params: GeneratorInvokeParams) -> UserMessage:
    """The person's turn, which the messages have to end with."""
    last = params.messages[-1] if params.messages else None
    if not isinstance(last, UserMessage):
        raise HarnessError("There is nothing to ask: give a prompt, or messages that end with the person's turn.")
    return last


def last_prompt(params: GeneratorInvokeParams) -> str:
    """The person's turn as text, for a framework that takes nothing else from us.

    Raises:
        HarnessError: there is none, there is more in it than text, or there is a system prompt.
    """
    content = last_turn(params).content
    if any(isinstance(message, SystemMessage) for message in params.messages):
        raise HarnessError("This adapter takes no system prompt: set it where the agent is made.")
    if isinstance(content, str):
        return content
    if any(part.type != "text" for part in content):
        raise HarnessError("This adapter takes text only, no images and no documents.")
    return "\n".join(part.text for part in content if part.type == "text")
