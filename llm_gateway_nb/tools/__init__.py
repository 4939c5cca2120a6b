"""One tool a file, and the decorator that makes one of a function."""

from llm_gateway_nb.tools.bash import bash_tool
from llm_gateway_nb.tools.decorator import tool
from llm_gateway_nb.tools.validate import plain_input, validate_input

__all__ = ["bash_tool", "plain_input", "tool", "validate_input"]
