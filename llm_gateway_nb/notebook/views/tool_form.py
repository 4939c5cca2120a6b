"""A tool's card with its form: a person calls the tool by hand, and no model is asked.

The click is the consent: no rule is held against the call. What the tool prints is shown as it comes; arguments that do not
fit are told at their fields, and nothing runs.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from weakref import WeakValueDictionary

from jsonschema.validators import validator_for
from pydantic import BaseModel, ValidationError

from llm_gateway_nb._words import counted
from llm_gateway_nb.errors import ToolInputError
from llm_gateway_nb.notebook.kernel import Output, capturing
from llm_gateway_nb.notebook.text import whole
from llm_gateway_nb.notebook.views.bits import Bit, code, note
from llm_gateway_nb.notebook.views.live import LiveCard
from llm_gateway_nb.notebook.views.messages import content_bits
from llm_gateway_nb.notebook.views.tools import form_fields, tool_card
from llm_gateway_nb.tools import KnownFiles
from llm_gateway_nb.tools.current import current_tool
from llm_gateway_nb.tools.validate import validate_input
from llm_gateway_nb.types import ToolContext, ToolDefinition, ToolExecutionResult, new_id

__all__ = ["ToolCard"]

MAX_PRINTED = 4_000
"""Characters of a running tool's output on the page: its end."""


_known: WeakValueDictionary[int, ToolCard] = WeakValueDictionary()
"""By the identity of the tool, which a card keeps alive."""


class ToolCard(LiveCard):
    """`tool` with a form. It owns the calls that were made here; closing it cancels them."""

    def __init__(self, tool: ToolDefinition) -> None:
        self._tool = tool
        self._fields = form_fields(tool.json_schema())
        self._calls: set[asyncio.Task[None]] = set()
        self._state: dict[str, Any] = {"status": "idle"}
        self._printed = ""
        self._file_time = KnownFiles()
        super().__init__(self._picture, self._acted)

    @classmethod
    def of(cls, tool: ToolDefinition) -> ToolCard:
        """The one card of this tool: shown twice, it is one model with two views."""
        known = _known.get(id(tool))
        if known is None or known.comm is None:
            known = _known[id(tool)] = cls(tool)
        return known

    def close(self) -> None:
        for task in tuple(getattr(self, "_calls", ())):
            task.cancel()
        super().close()

    def _acted(self, message: dict[str, Any]) -> None:
        match message:
            case {"k": "call", "values": dict(values)} if not self._calls:
                arguments, errors = self._arguments(values)
                validated = self._validated(arguments, errors)  # all that is wrong is told at once
                if errors:
                    self._show(status="invalid", errors=errors)
                    return
                self._printed = ""
                self._show(status="running")
                task = asyncio.create_task(self._run(validated), name=f"llm_gateway_nb: {self._tool.name} by hand")
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            case {"k": "stop"}:
                for task in self._calls:
                    task.cancel()

    def _picture(self) -> dict[str, Any]:
        form = {"fields": self._fields, "name": self._tool.name, **self._state}
        if self._state["status"] == "running" and self._printed:
            form["output"] = [code(self._printed)]
        return {"card": tool_card(self._tool, with_parameters=False), "form": form if self._tool.execute else None}

    def _show(self, **state: Any) -> None:
        self._state = state
        self.changed()

    # -- what was typed --------------------------------------------------------------------------------------------------

    def _arguments(self, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Out of what stands in the fields: an empty optional one is left out, JSON is read."""
        arguments: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for field in self._fields:
            name, given = field["name"], values.get(field["name"])
            if given is None or (given == "" and (not field["required"] or field["kind"] != "text")):
                if field["required"]:
                    errors[name] = "needed"
            elif field["kind"] == "json" and isinstance(given, str):
                try:
                    arguments[name] = json.loads(given)
                except ValueError as error:
                    errors[name] = f"not JSON: {error}"
            else:
                arguments[name] = given
        return arguments, errors

    def _validated(self, arguments: dict[str, Any], errors: dict[str, str]) -> Any:
        """What the tool gets; what does not fit is put into `errors`, under the field that it belongs to."""
        schema = self._tool.schema_
        try:
            if not isinstance(schema, dict):
                return schema.model_validate(arguments)
            for problem in validator_for(schema)(schema).iter_errors(arguments):
                errors.setdefault(str(problem.path[0]) if problem.path else "", problem.message)
            return None if errors else validate_input(self._tool, arguments)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False):
                place = ".".join(map(str, item["loc"][1:]))
                told = f"{place}: {item['msg']}" if place else item["msg"]
                errors.setdefault(str(item["loc"][0]) if item["loc"] else "", told)
        except ToolInputError as error:
            errors[""] = str(error)
        return None

    # -- the call --------------------------------------------------------------------------------------------------------

    async def _run(self, validated: Any) -> None:
        assert self._tool.execute is not None
        ctx = ToolContext(parent_id=new_id(), file_time=self._file_time, emit_progress=self._progress)
        current_tool.set(ctx)  # this task's own context
        try:
            with capturing(self._output):
                async with asyncio.timeout(self._tool.timeout_seconds):
                    value = await self._tool.execute(validated, ctx)
        except asyncio.CancelledError:
            self._show(status="cancelled", output=self._so_far())
            raise
        except TimeoutError as error:
            limit = self._tool.timeout_seconds
            told = str(error) or (f"It ran longer than {counted(limit, 'second')}." if limit else "It timed out.")
            self._show(status="error", output=[code(told), *self._so_far()])
        except Exception as error:  # noqa: BLE001  (whatever a tool raises is what came of the call)
            self._show(status="error", output=[code(f"{type(error).__name__}: {error}"), *self._so_far()])
        else:
            result = _result_bits(value)
            told = "".join(str(bit.get("text", "")) for bit in result)
            self._show(status="ok", output=[*result, *(self._so_far() if self._printed.strip() not in told else [])])

    def _so_far(self) -> list[Bit]:
        return [note("It printed:"), code(self._printed)] if self._printed.strip() else []

    def _progress(self, content: Any) -> None:
        text = content.get("text") if isinstance(content, dict) else content
        self._printed = (self._printed + whole(text))[-MAX_PRINTED:]
        self.changed()

    def _output(self, output: Output) -> None:
        if output["output_type"] == "stream":
            self._progress(output["text"])
        elif "data" in output:
            self._progress(output["data"].get("text/plain", "") + "\n")


def _result_bits(value: Any) -> list[Bit]:
    if isinstance(value, ToolExecutionResult):
        value = value.context if value.context is not None else value.result
        if isinstance(value, list):
            return content_bits(value, plain=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", fallback=str)
    text = whole(value)
    return [code(text)] if text else [note("It gave nothing back.")]
