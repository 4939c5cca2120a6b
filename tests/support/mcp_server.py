"""A server of the Model Context Protocol, written with the official SDK: `mcp_server.py`, or `mcp_server.py PORT` for HTTP."""

from __future__ import annotations

import asyncio
import os
import sys

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("tests")


@server.tool()
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def broken() -> str:
    """Always fails."""
    raise ToolError("out of order")


@server.tool()
def picture() -> Image:
    """A dot."""
    return Image(data=b"\x89PNG\r\n\x1a\n" + bytes(8), format="png")


@server.tool()
def environment() -> str:
    """What it inherits."""
    return " ".join(sorted(os.environ))


@server.tool()
def pid() -> int:
    """Its process."""
    return os.getpid()


@server.tool()
def die() -> str:
    """Ends the server."""
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
async def slow(ctx: Context) -> str:
    """Takes its time, and says so."""
    await ctx.report_progress(1, 2, "half way")
    await asyncio.sleep(60)
    return "late"


if __name__ == "__main__":
    print("hello from the server", file=sys.stderr)
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
