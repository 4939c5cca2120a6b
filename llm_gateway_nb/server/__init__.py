"""A run on another machine: `create_app` serves a harness over HTTP, `RemoteHarness` is a served harness.

Loaded when first used: whoever watches a remote run needs no FastAPI.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_gateway_nb.server.app import create_app
    from llm_gateway_nb.server.dask import DaskExecutor
    from llm_gateway_nb.server.remote import RemoteHarness
    from llm_gateway_nb.server.serving import serve

__all__ = ["DaskExecutor", "RemoteHarness", "create_app", "serve"]

_HOMES = {"DaskExecutor": "dask", "RemoteHarness": "remote", "create_app": "app", "serve": "serving"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
