"""The async guide's address of the exceptions: every name of `llm_gateway_nb.errors`."""

from llm_gateway_nb.errors import *  # noqa: F403  (an alias module has exactly the names of what it stands for)
from llm_gateway_nb.errors import __all__ as __all__
