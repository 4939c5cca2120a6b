"""Harnesses by name: registered here, announced by an installed package, or found in a file.

A package announces one under the entry point group `llm_gateway_nb.harnesses`; nothing of it is imported before it is
loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.types import Harness, LoadedHarness, new_id

__all__ = ["list_harnesses", "load_harness", "register_harness", "unregister_harness"]

GROUP = "llm_gateway_nb.harnesses"

_registered: dict[str, tuple[Harness, Any]] = {}


def register_harness(
    name: str,
    source: Any,
    *,
    description: str | None = None,
    supported_models: list[str] | None = None,
) -> Harness:
    """Make a harness known by a name, in this process. The same name again replaces the older one.

    Args:
        source: a harness; a function that makes one, called once a load; or a module path, `"package.module:name"` or
            `"/path/file.py:name"`, imported when it is loaded. Without `:name` it is the module's `harness`.
    """
    if not name:
        raise ConfigurationError("A harness is registered under a name; this one is empty.")
    if not isinstance(source, str) and not _is_harness(source) and not callable(source):
        raise ConfigurationError(
            f"register_harness takes a harness, a function that makes one, or a module path, not {source!r}."
        )
    harness = Harness(
        id=new_id(),
        name=name,
        description=description,
        module_path=source if isinstance(source, str) else None,
        supported_models=supported_models,
        registered_at=time.time(),
    )
    _registered[name] = harness, source
    return harness


def unregister_harness(name: str) -> None:
    """Forget it; an unknown name is ignored."""
    _registered.pop(name, None)


def list_harnesses() -> list[Harness]:
    """What is known, without loading any of it: what was registered here, then what installed packages announce."""
    announced = [_announced(point) for name, point in _entry_points().items() if name not in _registered]
    return [harness for harness, _ in _registered.values()] + announced


def load_harness(name: str) -> LoadedHarness:
    """A harness by its name, its id, or a module path, with the module that runs.

    Raises:
        ConfigurationError: nobody knows it; its module can't be imported, or holds no harness.
    """
    for harness, source in _registered.values():
        if name in {harness.name, harness.id}:
            return LoadedHarness(harness=harness, module=_resolve(source))
    point = _entry_points().get(name)
    if point is not None:
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"The harness {name!r} is announced as {point.value!r}: {error}") from error
        return LoadedHarness(harness=_announced(point), module=_made(found, point.value))
    if ":" in name or name.endswith(".py"):
        return LoadedHarness(harness=Harness(id=name, name=name, module_path=name), module=_resolve(name))
    known = [harness.name for harness in list_harnesses()]
    close = get_close_matches(name, known, n=1)
    raise ConfigurationError(
        f"There is no harness {name!r}.{f' Did you mean {close[0]!r}?' if close else ''} Known are "
        f"{', '.join(sorted(known)) or 'none'}; a module path looks like 'package.module:name' or 'file.py:name'."
    )


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _announced(point: EntryPoint) -> Harness:
    return Harness(id=f"{GROUP}:{point.name}", name=point.name, module_path=point.value)


def _resolve(source: Any) -> Any:
    if not isinstance(source, str):
        return _made(source, repr(source))
    path, colon, name = source.rpartition(":")
    if not colon or path.endswith(("\\", "/")):
        path, name = source, "harness"
    try:
        module = _from_file(Path(path)) if path.endswith(".py") else importlib.import_module(path)
        found = getattr(module, name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise ConfigurationError(f"No harness at {source!r}: {error}") from error
    return _made(found, source)


def _from_file(path: Path) -> Any:
    """The module of a file, imported anew: a person who edits it wants what stands there now."""
    path = path.expanduser().resolve()
    spec = importlib.util.spec_from_file_location(f"llm_gateway_nb_harness_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look it up
    spec.loader.exec_module(module)
    return module


def _made(found: Any, source: str) -> Any:
    harness = found() if callable(found) and (isinstance(found, type) or not _is_harness(found)) else found
    if not _is_harness(harness):
        raise ConfigurationError(f"What is at {source} is no harness, something with `invoke(params)`: {harness!r}.")
    return harness


def _is_harness(candidate: Any) -> bool:
    return callable(getattr(candidate, "invoke", None))
