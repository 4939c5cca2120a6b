"""`mcp_tools`: the tools of a server of the Model Context Protocol as ours, asked about like any other.

A connection is held by one task, which opens and closes it: the SDK wants both in the same task, and cells are not. A
server that is a program gets a real file for what it says on stderr, because a notebook's stderr is none; the end of that
file is part of what a failure says.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Any, cast

from llm_gateway_nb.errors import ConfigurationError, ToolError
from llm_gateway_nb.types import (
    ContentPart,
    DocumentContentPart,
    ImageContentPart,
    TextContentPart,
    ToolContext,
    ToolDefinition,
    ToolExecutionResult,
)

__all__ = ["McpServer", "mcp_tools"]

_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_TOLD_BYTES = 2_000
_MOST_PAGES = 100

_open: set[asyncio.Task[None]] = set()
"""A loop holds its tasks weakly; a connection lives until it is closed, or its loop is."""


def mcp_tools(
    server: str | Sequence[str],
    *,
    only: Collection[str] | None = None,
    prefix: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> McpServer:
    """The tools of an MCP server. Nothing starts before it is awaited, or entered:

        server = mcp_tools("npx -y some-server")
        tools = await server                       # in one cell
        await server.aclose()                      # in another
        async with mcp_tools("https://…/mcp") as tools: ...

    Args:
        server: a command, as text or as words, or the address of a server that speaks Streamable HTTP.
        only: the names of the tools to take, as the server calls them; None takes all.
        prefix: put in front of each name, to keep two servers apart.
        env: more environment variables for a command; beside them it gets PATH, HOME and little else.
        cwd: where a command starts.
        headers: sent to an address, such as `Authorization`.
        timeout_seconds: how long one call may take.

    Raises:
        ConfigurationError: the SDK is not installed, or there is no server in `server`.
    """
    return McpServer(server, only, prefix, env, cwd, headers, timeout_seconds)


class McpServer:
    """A connection to one server; see `mcp_tools`.

    Attributes:
        tools: its tools, once it is open.
    """

    def __init__(
        self,
        server: str | Sequence[str],
        only: Collection[str] | None,
        prefix: str,
        env: Mapping[str, str] | None,
        cwd: str | Path | None,
        headers: Mapping[str, str] | None,
        timeout_seconds: float | None,
    ) -> None:
        try:
            import mcp  # noqa: F401
        except ImportError as error:
            raise ConfigurationError("mcp_tools needs the MCP SDK: pip install 'llm-gateway-nb[mcp]'.") from error
        is_url = isinstance(server, str) and server.startswith(("http://", "https://"))
        self._url = cast(str, server) if is_url else None
        self._words = [] if is_url else shlex.split(server) if isinstance(server, str) else [*map(str, server)]
        if not is_url and not self._words:
            raise ConfigurationError(f"mcp_tools takes a command or an address, not {server!r}.")
        self.tools: list[ToolDefinition] = []
        self._only = only
        self._prefix = prefix
        self._env = dict(env or {})
        self._cwd = cwd
        self._headers = dict(headers or {})
        self._timeout_seconds = timeout_seconds
        self._client: Any = None
        self._owner: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._closing: asyncio.Event | None = None
        self._stderr: IO[bytes] | None = None
        self._said = ""

    def __repr__(self) -> str:
        state = "open" if self._client is not None else "closed"
        return f"McpServer({self._what!r}, {state}, tools={len(self.tools)})"

    @property
    def _what(self) -> str:
        return self._url or shlex.join(self._words)

    def __await__(self) -> Generator[Any, None, list[ToolDefinition]]:
        return self.open().__await__()

    async def __aenter__(self) -> list[ToolDefinition]:
        return await self.open()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def open(self) -> list[ToolDefinition]:
        """Connect, and give the tools; what is open already gives them again.

        Raises:
            ConfigurationError: the server does not start or answers something else; it has no tool of a name in `only`, or
            two that would have one name here; or `aclose` came first.
        """
        async with self._opening:
            if self._client is None:
                ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._closing = asyncio.Event()
                self._owner = asyncio.create_task(self._own(ready), name=f"llm_gateway_nb {self!r}")
                _open.add(self._owner)
                self._owner.add_done_callback(_open.discard)
                try:
                    await ready
                except BaseException:
                    await self.aclose()
                    raise
        return self.tools

    async def aclose(self) -> None:
        """End the connection; of a command also the program, with all that it started. Harmless when it is closed."""
        owner, closing = self._owner, self._closing
        if owner is None or closing is None or owner.done():
            return
        if self._client is None:
            owner.cancel()  # it waits for a server that may never answer
        closing.set()
        await asyncio.wait([owner])

    async def _own(self, ready: asyncio.Future[None]) -> None:
        from mcp import Client

        assert self._closing is not None
        try:
            async with AsyncExitStack() as stack:
                if self._words:
                    self._stderr = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack is one
                    stack.callback(self._note_last_words)
                client = await stack.enter_async_context(Client(await self._transport(stack)))
                self.tools = await self._list(client)
                self._client = client
                if not ready.done():
                    ready.set_result(None)
                await self._closing.wait()
        except Exception as error:  # noqa: BLE001  (whatever keeps a server from working is told where it is waited for)
            if not ready.done():
                ready.set_exception(self._failed(error))
        finally:
            self._client = None
            if not ready.done():
                ready.set_exception(
                    ConfigurationError(f"The MCP server {self._what!r} was closed while it was opened.")
                )

    async def _transport(self, stack: AsyncExitStack) -> Any:
        if self._url is not None:
            from mcp.client.streamable_http import streamable_http_client
            from mcp.shared._httpx_utils import create_mcp_http_client

            http = await stack.enter_async_context(create_mcp_http_client(headers=self._headers))
            return streamable_http_client(self._url, http_client=http)
        from mcp.client.stdio import StdioServerParameters, stdio_client

        parameters = StdioServerParameters(
            command=self._words[0], args=self._words[1:], env=self._env or None, cwd=self._cwd
        )
        return stdio_client(parameters, errlog=cast(Any, self._stderr))

    async def _list(self, client: Any) -> list[ToolDefinition]:
        listed: dict[str, Any] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):  # a server that never ends its list can't hold a cell
            page = await client.list_tools(cursor=cursor)
            listed |= {found.name: found for found in page.tools}
            cursor = page.next_cursor
            if cursor is None:
                break
        missing = sorted(set(self._only or ()) - set(listed))
        if missing:
            raise ConfigurationError(f"The MCP server has no tool {missing[0]!r}; it has {sorted(listed)}.")
        tools = [self._tool(found) for name, found in listed.items() if self._only is None or name in self._only]
        twice = next((name for name, count in Counter(tool.name for tool in tools).items() if count > 1), None)
        if twice is not None:
            raise ConfigurationError(
                f"The MCP server has two tools that would both be called {twice!r}; name one in only=."
            )
        return tools

    def _tool(self, listed: Any) -> ToolDefinition:
        loop = asyncio.get_running_loop()

        async def execute(given: dict[str, Any], ctx: ToolContext) -> ToolExecutionResult[Any]:
            if asyncio.get_running_loop() is loop:
                return await self._call(listed.name, given, ctx)
            asked = asyncio.run_coroutine_threadsafe(self._call(listed.name, given, ctx), loop)
            return await asyncio.wrap_future(asked)

        return ToolDefinition(
            name=_NAME.sub("_", f"{self._prefix}{listed.name}"),
            description=listed.description or listed.title or listed.name,
            schema_={"type": "object", **listed.input_schema},
            execute=execute,
            timeout_seconds=self._timeout_seconds,
        )

    async def _call(self, name: str, given: dict[str, Any], ctx: ToolContext) -> ToolExecutionResult[Any]:
        from mcp import MCPError

        if self._client is None:
            raise ToolError(f"The MCP server of {name!r} is closed.{self._last_words()}")

        async def progress(done: float, total: float | None, message: str | None) -> None:
            of = f"{done:g}" if total is None else f"{done:g} of {total:g}"
            ctx.progress({"text": f"{message or of}\n", "progress": done, "total": total})

        try:
            result = await self._client.call_tool(name, given, progress_callback=progress)
        except MCPError as error:
            raise ToolError(f"The MCP server failed on {name!r}: {error}{self._last_words()}") from error
        content = _content(result.content)
        if result.is_error:
            raise ToolError(content if isinstance(content, str) else "\n".join(map(_text, content)))
        return ToolExecutionResult(context=content, result=result.structured_content)

    def _failed(self, error: BaseException) -> ConfigurationError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ConfigurationError):
            return error
        return ConfigurationError(f"The MCP server {self._what!r} did not start: {error}{self._last_words()}")

    def _last_words(self) -> str:
        """The end of what the program has said on stderr."""
        self._note_last_words()
        return f"\n{self._said}" if self._said else ""

    def _note_last_words(self) -> None:
        if self._stderr is not None and not self._stderr.closed:
            size = os.fstat(self._stderr.fileno()).st_size
            told = os.pread(self._stderr.fileno(), _TOLD_BYTES, max(0, size - _TOLD_BYTES))
            self._said = told.decode(errors="replace").strip()


def _content(blocks: Sequence[Any]) -> str | list[ContentPart]:
    """What the model reads: text, or parts where an image or a document is among it."""
    parts = [_part(block) for block in blocks]
    if all(isinstance(part, TextContentPart) for part in parts):
        return "\n".join(map(_text, parts))
    return parts


def _text(part: ContentPart) -> str:
    return part.text if isinstance(part, TextContentPart) else f"[{part.media_type}]"


def _part(block: Any) -> ContentPart:
    match block.type:
        case "text":
            return TextContentPart(text=block.text)
        case "image":
            return ImageContentPart(media_type=block.mime_type, data=block.data)
        case "resource" if hasattr(block.resource, "text"):
            return TextContentPart(text=block.resource.text)
        case "resource":
            kind = block.resource.mime_type or "application/octet-stream"
            part = ImageContentPart if kind.startswith("image/") else DocumentContentPart
            return part(media_type=kind, data=block.resource.blob)
        case "resource_link":
            return TextContentPart(text=f"[{block.name}: {block.uri}]")
        case _:
            return TextContentPart(text=f"[{getattr(block, 'mime_type', block.type)}, which can't be shown]")
