"""A session as a JSON file: its messages in their wire form, and which model it was with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_jsonable_python

from llm_gateway_nb.errors import ConfigurationError
from llm_gateway_nb.providers import LLM, create_llm
from llm_gateway_nb.recording.secrets import Secrets
from llm_gateway_nb.types import Message
from llm_gateway_nb.types.wire import dump_wire

__all__ = ["Archive", "read_archive", "write_archive"]

FORMAT: Literal["llm_gateway_nb/session/1"] = "llm_gateway_nb/session/1"


class Archive(BaseModel):
    """What is in the file; what a newer version adds is left alone."""

    model_config = ConfigDict(extra="ignore")

    format: Literal["llm_gateway_nb/session/1"] = FORMAT
    provider: str
    model: str
    settings: dict[str, Any] = {}
    messages: list[Message]

    def make_llm(self) -> LLM:
        """The model it was with."""
        return create_llm(self.provider, self.model)


def write_archive(path: str | Path, llm: LLM, settings: Mapping[str, Any], messages: Sequence[Message]) -> None:
    """Write the file, whole or not at all.

    Raises:
        ConfigurationError: it can't be written.
    """
    path = Path(path).expanduser()
    half_written: Path | None = None
    try:
        known = Secrets(llm._secrets()).redact(to_jsonable_python(dict(settings)))  # a header may hold a key
        archive = Archive(provider=llm.provider, model=llm.model, settings=known, messages=list(messages))
        text = json.dumps(dump_wire(archive), ensure_ascii=False, indent=1)
        with tempfile.NamedTemporaryFile(  # beside it: a move inside one file system is atomic
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            half_written = Path(file.name)
            file.write(text + "\n")
        half_written.replace(path)
        half_written = None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The session can't be saved to {str(path)!r}: {error}.") from error
    finally:
        if half_written is not None:
            half_written.unlink(missing_ok=True)


def read_archive(path: str | Path) -> Archive:
    """
    Raises:
        ConfigurationError: there is no such file, or it holds something else.
    """
    try:
        return Archive.model_validate_json(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ConfigurationError(f"The session {str(path)!r} can't be read: {error.strerror}.") from None
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in told["loc"])
        raise ConfigurationError(
            f"{str(path)!r} holds no saved session: {place + ': ' if place else ''}{told['msg']}."
        ) from None
