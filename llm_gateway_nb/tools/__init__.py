"""One tool a file, and the decorator that makes one of a function."""

from llm_gateway_nb.tools.agent import agent_tool
from llm_gateway_nb.tools.ask_user import ask_user
from llm_gateway_nb.tools.bash import bash_tool
from llm_gateway_nb.tools.decorator import tool
from llm_gateway_nb.tools.known_files import KnownFiles
from llm_gateway_nb.tools.mcp import McpServer, mcp_tools
from llm_gateway_nb.tools.patch import patch_tool
from llm_gateway_nb.tools.python import python_tool
from llm_gateway_nb.tools.read import read_tool
from llm_gateway_nb.tools.validate import plain_input, validate_input

__all__ = [
    "KnownFiles",
    "McpServer",
    "agent_tool",
    "ask_user",
    "bash_tool",
    "mcp_tools",
    "patch_tool",
    "plain_input",
    "python_tool",
    "read_tool",
    "tool",
    "validate_input",
]
