"""A model that says what it was told to say: deterministic, public, and strict about being read to its end.

A script is a list of turns, one a model call. It is for tests, tutorials and demonstrations; it never stands in for a model
silently: its provider is named `scripted`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, GatewayError, ScriptError
from llm_gateway_nb.providers.base import (
    LLM,
    Finish,
    ModelRequest,
    Piece,
    ReasoningDelta,
    TextDelta,
    ToolCallPiece,
    Usage,
)
from llm_gateway_nb.types import UserMessage

__all__ = ["ScriptedLLM", "Turn", "call", "script"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model does in one call.

    Attributes:
        text, reasoning: streamed in deltas of one word each.
        calls: the tools it calls, after its text.
        error: raised after the text.
        usage: (input tokens, output tokens); None counts words, so that it is the same on every machine.
        finish_reason: None is `tool_calls` where there are calls, else `stop`.
        delay: seconds between two deltas, for demonstrations.
        wait: awaited before the last delta; a test holds the model there.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCallPiece, ...] = ()
    error: BaseException | None = None
    usage: tuple[int, int] | None = None
    finish_reason: str | None = None
    delay: float = 0.0
    wait: Callable[[], Any] | None = None


def call(name: str, /, call_id: str | None = None, **arguments: Any) -> ToolCallPiece:
    """A tool call of a turn; without an id it gets one by its place in the script."""
    return ToolCallPiece(id=call_id or "", name=name, arguments=arguments)


Scripted = Turn | str | ToolCallPiece | BaseException | Sequence[Any]
"""A turn, or in short: its text, its call, its error, or a list of those."""


def script(*turns: Scripted) -> list[Turn]:
    """Turns out of their short forms: `script("Let me look.", call("bash", command="ls"), ["Two.", call("add", a=1)])`."""
    return [_turn(turn) for turn in turns]


def _turn(given: Scripted) -> Turn:
    match given:
        case Turn():
            return given
        case str():
            return Turn(text=given)
        case ToolCallPiece():
            return Turn(calls=(given,))
        case BaseException():
            return Turn(error=given)
        case list() | tuple():
            turn = Turn()
            for part in map(_turn, given):
                turn = replace(
                    turn,
                    text=turn.text + part.text,
                    reasoning=turn.reasoning + part.reasoning,
                    calls=(*turn.calls, *part.calls),
                    error=part.error or turn.error,
                )
            return turn
        case _:
            raise ConfigurationError(
                f"A scripted turn is a Turn, a text, a call(…), an exception, or a list of those, not {given!r}."
            )


@dataclass(slots=True)
class _Reading:
    turns: list[Turn]
    at: int = 0


class ScriptedLLM(LLM):
    """A model that reads its answers from a script, turn by turn.

    Several conversations at once, as subagents have, each read a script of their own: `turns` may be a dict, from what the
    first message of the person is to the turns.

    `requests` holds what it was asked, in order. As a context manager, sync or async, it complains of turns left unread.

    Raises:
        ScriptError: as an `error` event, when it is called more often than it has turns; at the end of a `with` block, when
            turns are left.
    """

    provider = "scripted"

    def __init__(
        self,
        turns: Iterable[Scripted] | Mapping[str, Iterable[Scripted]] | str | None = None,
        *,
        model: str = "scripted",
        max_retries: int = 0,
        timeout: float | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        settings = dict(defaults or {})
        if isinstance(turns, str):  # create_llm("scripted", "name", turns=[…])
            model, turns = turns, None
        turns = settings.pop("turns", turns)
        if turns is None:
            raise ConfigurationError("A scripted model needs its script: create_llm('scripted', turns=['Hello.']).")
        super().__init__(model, max_retries=max_retries, timeout=timeout, defaults=settings)
        scripts: dict[Any, Any] = dict(turns) if isinstance(turns, Mapping) else {None: turns}
        self.requests: list[ModelRequest] = []
        self._readings = {key: _Reading(script(*turns)) for key, turns in scripts.items()}

    @property
    def unread(self) -> int:
        """How many turns are left."""
        return sum(len(reading.turns) - reading.at for reading in self._readings.values())

    def assert_read(self) -> None:
        """Complain of turns that nobody asked for.

        Raises:
            ScriptError: some are left.
        """
        for reading in self._readings.values():
            left = len(reading.turns) - reading.at
            if left:
                raise ScriptError(
                    f"The script has {left} unread turn(s) of {len(reading.turns)}; the next would be "
                    f"{reading.turns[reading.at]!r}."
                )

    def _reading_of(self, request: ModelRequest) -> _Reading:
        if None in self._readings:
            return self._readings[None]
        first = next((message.content for message in request.messages if isinstance(message, UserMessage)), None)
        reading = self._readings.get(first) if isinstance(first, str) else None
        if reading is None:
            raise ScriptError(f"There is no script for {first!r}; there are some for {list(self._readings)}.")
        return reading

    def __enter__(self) -> ScriptedLLM:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.assert_read()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(exc[0])  # type: ignore[arg-type]  # the protocol hands over the exception's class

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        self.requests.append(request)
        reading = self._reading_of(request)
        index = reading.at
        if index >= len(reading.turns):
            raise ScriptError(
                f"The script has {len(reading.turns)} turn(s), and this is call {index + 1} of the model. A script is read "
                "once: make the model anew (run its cell again), or give it more turns."
            )
        reading.at += 1
        turn = reading.turns[index]
        for word in _words(turn.reasoning):
            yield ReasoningDelta(word)
            await asyncio.sleep(turn.delay)
        words = _words(turn.text)
        for word in words[:-1]:
            yield TextDelta(word)
            await asyncio.sleep(turn.delay)
        if turn.wait is not None:
            await turn.wait()
        for word in words[-1:]:
            yield TextDelta(word)
        if turn.error is not None:
            raise turn.error if isinstance(turn.error, GatewayError) else ScriptError(str(turn.error)) from turn.error
        for number, piece in enumerate(turn.calls, 1):
            yield replace(piece, id=piece.id or f"call_{index + 1}_{number}")
        asked = sum(len(str(message.content or "").split()) for message in request.messages)
        input_tokens, output_tokens = turn.usage or (asked, len(words) + len(turn.calls))
        yield Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        yield Finish(turn.finish_reason or ("tool_calls" if turn.calls else "stop"))


def _words(text: str) -> list[str]:
    """`text` cut after each run of white space."""
    return re.findall(r"\S*\s+|\S+", text)
