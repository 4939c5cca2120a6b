"""Many streams read as one.

Each stream is owned by a task of its own, its pump, which fetches one value ahead and then waits until the reader has
come back for more. So a stream can be stopped at any moment, by cancelling its pump, even while it waits for something
that never comes; and an event costs the same among ten streams and among a thousand: nothing is ever raced or scanned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, Final, Generic, TypeVar

from llm_gateway_nb.errors import ConfigurationError, HarnessError
from llm_gateway_nb.primitives import AsyncQueue
from llm_gateway_nb.types import ErrorEvent, new_id

__all__ = ["AgentMultiplexer"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_NOTHING: Final = object()

_GRACE_SECONDS = 5.0
"""How long a stream that was told to stop may tidy up before it is told once more."""


class _Agent(Generic[T]):
    __slots__ = ("begun", "id", "left", "paused", "queued", "stream", "taken", "task", "value")

    def __init__(self, agent_id: str, stream: AsyncIterable[T]) -> None:
        self.id = agent_id
        self.stream = stream
        self.task: asyncio.Task[None] | None = None
        self.value: Any = _NOTHING  # what was fetched and not yet read
        self.taken: asyncio.Future[None] | None = None  # the pump waits on it until the reader has come back for more
        self.paused = False
        self.queued = False  # stands in the line of those who have a value
        self.begun = False
        self.left = False


class AgentMultiplexer(Generic[T]):
    """Merges streams that come and go. Order within a stream is kept; those that are ready take turns.

    A stream that raises gives an `ErrorEvent` as its last value, and the others go on. Whoever reads `events()` owns the
    streams: when the reading ends, however it ends, every stream is closed.
    """

    def __init__(self) -> None:
        self._agents: dict[str, _Agent[T]] = {}
        self._ready: AsyncQueue[_Agent[T] | None] = AsyncQueue()  # None only wakes
        self._unstarted: list[_Agent[T]] = []
        self._closing: dict[asyncio.Task[None], str] = {}
        self._being_read = False
        self._starts_at_once = False

    def add(self, iterable: AsyncIterable[T]) -> str:
        """`register` under a new id (a UUID version 7), which it returns."""
        agent_id = new_id()
        self.register(agent_id, iterable)
        return agent_id

    def register(self, agent_id: str, iterable: AsyncIterable[T]) -> None:
        """Read this stream too, from now on. Its first value is fetched at once, or when `events()` begins to be read:
        a stream that nobody reads does nothing, and has nothing to stop. Needs no running loop.

        Raises:
            ConfigurationError: there is a stream of this id already.
        """
        if agent_id in self._agents:
            raise ConfigurationError(
                f"There is an agent {agent_id!r} already; unregister it first, or let `add` choose an id."
            )
        agent = self._agents[agent_id] = _Agent(agent_id, iterable)
        if self._starts_at_once:
            self._start(agent)
        else:
            self._unstarted.append(agent)

    def unregister(self, agent_id: str) -> None:
        """Forget this stream and close it; nothing more of it is read, what was fetched ahead included. An unknown id is
        ignored. The closing goes on by itself; `await closed(agent_id)` waits for it."""
        agent = self._agents.get(agent_id)
        if agent is None:
            return
        self._leave(agent)
        if agent.task is not None:
            self._closing[agent.task] = agent_id
            if agent.begun:  # a task that is cancelled before its first step would never close its stream
                agent.task.cancel()
        elif _loop_is_running():
            self._unstarted.remove(agent)
            self._start(agent)  # to close it; where there is no loop, that is done when the others are started

    async def closed(self, agent_id: str) -> None:
        """Wait until a stream that was unregistered is closed. In bounded time: see `events`."""
        await self._wait_closed([task for task, name in self._closing.items() if name == agent_id])

    def pause(self, agent_id: str) -> None:
        """Hold back this stream's values; at most the one that was fetched already waits here. Unknown ids are ignored."""
        if agent_id in self._agents:
            self._agents[agent_id].paused = True

    def resume(self, agent_id: str) -> None:
        """Go on with a paused stream; nothing was lost. Unknown ids are ignored."""
        agent = self._agents.get(agent_id)
        if agent is not None and agent.paused:
            agent.paused = False
            self._queue(agent)

    async def events(self) -> AsyncGenerator[tuple[str, T | ErrorEvent], None]:
        """`(agent_id, value)` of all streams, as they come, until no stream is left; paused ones are waited for.

        Closing this, or a cancel of whoever reads it, closes every stream and waits for that: a stream that takes longer
        than a few seconds to tidy up is cancelled once more, and then left with a line in the log.

        Raises:
            ConfigurationError: somebody reads already.
        """
        if self._being_read:
            raise ConfigurationError("events() is being read already; two readers would each get half of the events.")
        self._being_read = self._starts_at_once = True
        for agent in self._unstarted:
            self._start(agent)
        self._unstarted.clear()
        try:
            while self._agents:
                agent = await self._ready.pop()  # type: ignore[assignment]
                if agent is None:
                    continue
                agent.queued = False
                if agent.left or agent.paused:
                    continue
                value, agent.value = agent.value, _NOTHING
                yield agent.id, value
                if agent.taken is not None and not agent.taken.done():
                    agent.taken.set_result(None)
        finally:
            self._starts_at_once = False  # what a stream registers while it is being closed waits for the next reader
            for agent_id in list(self._agents):
                self.unregister(agent_id)
            try:
                await self._wait_closed(list(self._closing))
            finally:
                self._being_read = False

    def __len__(self) -> int:
        return len(self._agents)

    def __repr__(self) -> str:
        paused = sum(agent.paused for agent in self._agents.values())
        return f"AgentMultiplexer(agents={len(self._agents)}, paused={paused})"

    # -- one stream --------------------------------------------------------------------------------------------------

    def _start(self, agent: _Agent[T]) -> None:
        agent.task = asyncio.create_task(self._pump(agent), name=f"llm_gateway_nb agent {agent.id}")
        if agent.left:
            self._closing[agent.task] = agent.id
        agent.task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            _log.error("A stream failed while it was closed", exc_info=task.exception())

    async def _pump(self, agent: _Agent[T]) -> None:
        agent.begun = True
        iterator: Any = None
        run_id: str | None = None
        loop = asyncio.get_running_loop()
        try:
            iterator = aiter(agent.stream)
            if agent.left:
                return
            async for value in iterator:
                if agent.left:  # it was told to stop, and held on to say one thing more
                    return
                if run_id is None:
                    run_id = getattr(value, "run_id", agent.id)
                agent.taken = loop.create_future()
                self._offer(agent, value)
                await agent.taken
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if agent.left or (task is not None and task.cancelling()):
                raise
            await self._fail(agent, run_id, HarnessError("The stream cancelled itself."))
        except Exception as error:
            if agent.left:
                raise
            await self._fail(agent, run_id, error)
        finally:
            self._leave(agent)
            if hasattr(iterator, "aclose"):
                await iterator.aclose()

    async def _fail(self, agent: _Agent[T], run_id: str | None, error: Exception) -> None:
        agent.taken = asyncio.get_running_loop().create_future()
        self._offer(agent, ErrorEvent(run_id=run_id or agent.id, error=error))
        await agent.taken

    def _offer(self, agent: _Agent[T], value: Any) -> None:
        agent.value = value
        if not agent.paused:
            self._queue(agent)

    def _queue(self, agent: _Agent[T]) -> None:
        if agent.value is not _NOTHING and not agent.queued:
            agent.queued = True
            self._ready.push(agent)

    def _leave(self, agent: _Agent[T]) -> None:
        """It is registered no more. What lies in the line of it is skipped."""
        if not agent.left:
            agent.left = True
            agent.value = _NOTHING
            del self._agents[agent.id]
            if not self._agents:
                self._ready.push(None)

    async def _wait_closed(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until these are over. Insists once; then it is better to go on than to hang for ever."""
        pending = {task for task in tasks if task is not asyncio.current_task()}
        for last in (False, True):
            if pending:
                _, pending = await asyncio.wait(pending, timeout=_GRACE_SECONDS)
            for task in pending:
                if last:
                    _log.error("The stream of agent %s does not stop; it was left behind.", self._closing.get(task))
                else:
                    task.cancel()


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
