"""`DaskExecutor`: subagents on the workers of a Dask cluster.

Dask decides where; what runs there is a server of this package, for one run, and what is here is its `RemoteHarness`. So
events, questions, answers and cancels travel as they do to any server, and no scheduler is ours. Each subagent is one Dask
task and holds one thread of a worker while it runs; what it spawns itself runs with it there. The workers have to be
reachable from here, on ports that the system picks; the token is a new one for each.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from llm_gateway_nb.errors import ConfigurationError, HarnessError, ProviderConnectionError, ProviderTimeoutError

try:
    import cloudpickle
    from distributed import Client, Future, get_worker
    from distributed.comm.addressing import get_address_host
except ImportError as error:
    raise ConfigurationError("DaskExecutor needs Dask: pip install 'llm-gateway-nb[distributed]'.") from error

from llm_gateway_nb.permissions import PermissionPolicy
from llm_gateway_nb.primitives import Deferred, deferred
from llm_gateway_nb.server.app import create_app
from llm_gateway_nb.server.remote import RemoteHarness
from llm_gateway_nb.server.serving import serve
from llm_gateway_nb.types import (
    ErrorEvent,
    GeneratorHarnessModule,
    GeneratorInvokeParams,
    HarnessEvent,
    ToolDefinition,
    new_id,
)

__all__ = ["DaskExecutor"]

_log = logging.getLogger(__name__)

_FIRST_REQUEST_SECONDS = 30.0
_GRACE_SECONDS = 10.0
_LOST_SECONDS = 5.0
"""How long a worker may be away before its agent counts as lost."""


_LOST = (ProviderConnectionError, ProviderTimeoutError)
"""What `RemoteHarness` says of a connection that does not come back; what a run itself says comes over as `RemoteError`."""


class DaskExecutor:
    """Runs an orchestrator's subagents on workers: `AgentOrchestrator(harness, executor=DaskExecutor(client))`.

    The harness and the tools are pickled with cloudpickle and sent through Dask. A model that holds connections or a key
    does not travel, and a key should not: then `make_harness` makes the harness over there, with the key that is there.
    A worker that is lost is an `error` event of its agent, and a failed result of the call that spawned it.

    Args:
        client: of the cluster, synchronous or asynchronous.
        retries: how often the agent of a lost worker is run once more, elsewhere and from its beginning: what its tools
            did the first time stays done.
        takes_roots: also run what `orchestrator.spawn` starts there, each with its subagents: a batch.
        make_harness: a function without arguments that gives the harness, called on the worker.

    Raises:
        ConfigurationError: not a client.
    """

    def __init__(
        self,
        client: Client,
        *,
        make_harness: Callable[[], GeneratorHarnessModule] | None = None,
        retries: int = 0,
        takes_roots: bool = False,
    ) -> None:
        if not isinstance(client, Client):
            raise ConfigurationError(f"DaskExecutor takes a client, distributed.Client(…), not {client!r}.")
        self._client = client
        self._make_harness = make_harness
        self._retries = retries
        self.takes_roots = takes_roots

    def __repr__(self) -> str:
        return f"DaskExecutor({self._client.scheduler.address if self._client.scheduler else 'closed'!r})"

    async def invoke(
        self, harness: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        """One agent, somewhere. Closing this, or a cancel of whoever reads it, ends it there.

        Raises:
            ConfigurationError: the harness or a tool can't be sent.
            HarnessError: it could not be started on any worker.
        """
        for _ in range(self._retries + 1):
            is_lost = False
            async with aclosing(self._invoke(harness, params)) as events:
                async for event in events:
                    is_lost = is_lost or (isinstance(event, ErrorEvent) and isinstance(event.error, _LOST))
                    yield event
            if not is_lost:
                return

    async def _invoke(
        self, harness: GeneratorHarnessModule, params: GeneratorInvokeParams
    ) -> AsyncGenerator[HarnessEvent, None]:
        env = params.env
        grants = env.grants if env is not None else None
        policy = grants.policy if grants is not None else None
        work = self._packed(harness, params.tools or [], policy or PermissionPolicy())
        name, token = f"llm_gateway_nb-{new_id()}", secrets.token_urlsafe()
        started: Deferred[str] = deferred()
        self._client.subscribe_topic(name, lambda event: started.resolve(event[1]["url"]) and None)
        future: Future[Any] = self._client.submit(_serve_one, work, token, name, key=name, pure=False)
        try:
            future.add_done_callback(lambda _: started.resolve(""))
            url = await started.promise
            if not url:
                raise HarnessError(f"An agent could not be started on a worker: {await self._why(future)}")
            if grants is not None and env is not None:
                params = params.model_copy(
                    update={"permissions": grants.permissions, "env": env.model_copy(update={"grants": None})}
                )
            there = RemoteHarness(url, token, reconnect_seconds=_LOST_SECONDS)
            async with aclosing(there.invoke(params)) as events:
                async for event in events:
                    yield event
        finally:
            self._client.unsubscribe_topic(name)
            future.release()

    def _packed(self, harness: Any, tools: Sequence[ToolDefinition], policy: PermissionPolicy) -> bytes:
        make = self._make_harness
        served = _pickled(
            make if make is not None else harness, "make_harness=…, a function that makes the harness there"
        )
        offered = [_pickled(tool, "tools that hold nothing open") for tool in tools]
        return pickle.dumps((served, make is not None, offered, policy))

    async def _why(self, future: Future[Any]) -> object:
        try:
            if self._client.asynchronous:
                return await future.exception()
            return await asyncio.to_thread(future.exception)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return "the task was cancelled"  # Dask says it with this exception


def _pickled(what: Any, instead: str) -> bytes:
    try:
        data: bytes = cloudpickle.dumps(what)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{what!r} can't be sent to a worker: {error}. DaskExecutor takes {instead}."
        ) from error
    return data


def _serve_one(work: bytes, token: str, topic: str) -> None:
    """On the worker: serve one run, until it is over and read."""
    # From our own client, over Dask's own connection.
    pickled, is_made_here, offered, policy = pickle.loads(work)
    served = pickle.loads(pickled)() if is_made_here else pickle.loads(pickled)
    tools = [pickle.loads(tool) for tool in offered]
    worker = get_worker()

    async def main() -> None:
        app = create_app(served, tools=tools, policy=policy, token=token, grace_seconds=_GRACE_SECONDS)
        async with serve(app, host=get_address_host(worker.address)) as server:
            worker.log_event(topic, {"url": server.url})
            await app.state.sessions.served_one(within_seconds=_FIRST_REQUEST_SECONDS)

    asyncio.run(main())
