"""`record`: a harness whose runs are written down."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar, cast

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.harnesses.wrapped import wrap
from llm_gateway_nb.recording.decisions import answer_to
from llm_gateway_nb.recording.recorder import InvokeRecorder, Recorder
from llm_gateway_nb.recording.tap import Request, with_tap
from llm_gateway_nb.types import (
    BudgetRelayEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEvent,
    RelayEvent,
    RelayResponse,
)

__all__ = ["record", "request_of"]

HarnessT = TypeVar("HarnessT", bound=GeneratorHarnessModule)


def record(harness: HarnessT, path: str | Path) -> HarnessT:
    """The same harness, with all that happens in it written to `path` as JSON lines, as it happens.

    Recorded are the events, each request to a model (however deep in the harness it is made), and each answer to a
    question, with the call that it decided. Keys and tokens are taken out before they reach the file. The file is begun
    anew at the first invoke; later ones are added to it. A crash costs no more than the word that was being said. An
    `LLM` stays one, with `agenerate`.

    The recording has two uses: `create_llm("replay", path)` answers the model's part and everything else runs;
    `replay(path)` gives the events again, and nothing runs.

    Raises:
        ConfigurationError: `harness` is none. When the first event is asked for: the file can't be written.
    """
    if not callable(getattr(harness, "invoke", None)):
        raise ConfigurationError(f"record takes a harness, something with `invoke(params)`, not {harness!r}.")
    recorder = Recorder(path)

    async def around(
        inner: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        invoke = recorder.invoked(request_of(params), context=params.context)
        try:
            async with aclosing(with_tap(lambda: inner.invoke(params), invoke)) as events:
                async for event in events:
                    invoke.event(event)
                    yield _overheard(event, invoke)
        finally:
            invoke.close()

    return cast("HarnessT", wrap(harness, around, "record", path=str(path)))


def request_of(params: GeneratorInvokeParams) -> Request:
    """What is asked of a harness, as a recording has it."""
    return Request(params.model, params.messages, params.tools or (), params.settings or {})


def _overheard(event: HarnessEvent, recorder: InvokeRecorder) -> HarnessEvent:
    """A question whose answer is written down when it is taken."""
    if not isinstance(event, RelayEvent | BudgetRelayEvent) or not event.answerable:
        return event

    def respond(response: RelayResponse) -> bool:
        taken = event.respond(response)
        if taken:
            recorder.event(answer_to(event, response))
        return taken

    return event.model_copy(update={"respond": respond})
