"""One model call each, one service a file. `create_llm` is the way in."""

from llm_gateway_nb.providers.base import LLM
from llm_gateway_nb.providers.create import create_llm, list_providers, register_provider
from llm_gateway_nb.providers.response import GenerateResponse

__all__ = ["LLM", "GenerateResponse", "create_llm", "list_providers", "register_provider"]
