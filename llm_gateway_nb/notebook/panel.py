"""The live view of one run: a tree is told to a page, patch by patch.

Python keeps the truth, the page a picture of it. They talk in custom messages only, since a synced trait stalls while a
cell runs. To the page go numbered patches, and a snapshot when it says that it is ready or has missed a number; from
the page come `ready`, answers to relays, and `stop`. What they look like is decided in `widgets/`.

An operation on the picture is one of:
    `["n", key, parent_key | None, kind, props]`: a new node;
    `["+", key, stream, text]`: more text;
    `["s", key, props]`: other props.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from llm_gateway_nb.graph.tree import Added, Appended, Change, Node, RunTree, Updated
from llm_gateway_nb.notebook.static_html import page, static_html
from llm_gateway_nb.notebook.transcript import clean, jsonable, transcript

__all__ = ["RunPanel", "live_bundle"]

Operation = list[Any]

INTERVAL_SECONDS = 1 / 30
MAX_MESSAGE = 1_000_000
"""Bytes of operations in one message; Jupyter's server drops a connection that sends much more at once."""
MAX_OUTPUT = 400_000
"""Characters of one output that a page is given; `run.result` and the events have the rest."""

WIDGETS = Path(__file__).parent / "widgets"
_MODULES = (
    "dom.js",
    "format.js",
    "highlight.js",
    "inline.js",
    "blocks.js",
    "tables.js",
    "prose.js",
    "media.js",
    "rich.js",
    "edit.js",
    "ask.js",
    "relay.js",
    "summary.js",
    "nodes.js",
    "tool.js",
    "repl.js",
    "kinds.js",
    "dock.js",
    "menu.js",
    "search.js",
    "composer.js",
    "header.js",
    "store.js",
    "view.js",
    "panel.js",
)


def read_module(names: Iterable[str] = _MODULES) -> str:
    """Our ES modules as the one that anywidget can load: in order, without the imports of each other, or comments."""
    parts = []
    for name in names:
        source = (WIDGETS / name).read_text(encoding="utf-8")
        source = re.sub(r"^import\b[^;]*;\n", "", source, flags=re.M)
        source = re.sub(
            r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n|^[ \t]*//[^\n]*\n|^[ \t]*\n", "", source, flags=re.M | re.S
        )
        parts.append(re.sub(r"^export (?!default)", "", source, flags=re.M))
    return re.sub(r"^[ \t]+", "", "".join(parts), flags=re.M)


class RunPanel(anywidget.AnyWidget):
    """Shows `tree` as it grows. The owner folds events into it and calls `changed`; a tree has one panel.

    Args:
        title: stands in the heading.
        on_message: gets what a person did: `{"k": "relay", "id", "approved", "reason"?, "always"?, "input"?}`,
            `{"k": "stop"}`, or of a chat `{"k": "say", "text"}`.
        chat: with a line for the person's next turn.
        export: makes the file of a format (`html`, `markdown`, `json`); None makes it of the tree.

    Attributes:
        ready: set as soon as a page shows the panel.
    """

    _esm = read_module()
    _css = (WIDGETS / "panel.css").read_text(encoding="utf-8")
    title = traitlets.Unicode("").tag(sync=True)
    chat = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        tree: RunTree,
        *,
        title: str | None = None,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        chat: bool = False,
        export: Callable[[str], str] | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self._tree = tree
        self._on_message = on_message
        self._export = export or self._export_tree
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        # What is in the tree already counts as a patch that every page has missed.
        tree.take_changes()
        self._seq = 1 if tree.nodes else 0
        super().__init__(title=clean(title or ""), chat=chat)
        self.on_msg(self._on_custom)

    @property
    def seen(self) -> bool:
        """Has any page shown it?"""
        return self.ready.is_set()

    @property
    def tree(self) -> RunTree:
        return self._tree

    def changed(self) -> None:
        """Events were folded: tell the page, now or within a thirtieth of a second.

        Where no loop runs there is nobody to tell it later: then what comes too soon waits for the next call.
        """
        if self._timer is not None:
            return
        wait = self._last + INTERVAL_SECONDS - time.monotonic()
        if wait <= 0:
            self.flush()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = loop.call_later(wait, self.flush)

    def flush(self) -> None:
        """Tell the page now all that it has not been told."""
        self._stop_timer()
        self._last = time.monotonic()
        if self.comm is None:
            return
        changes = self._tree.take_changes()
        if changes:
            for operations in _messages(_operations(changes)):
                self._seq += 1
                self._tell("patch", operations)

    def retell(self, tree: RunTree) -> None:
        """Show another tree in the place of this one: every page draws it from the beginning."""
        self._stop_timer()
        tree.take_changes()
        self._tree = tree
        self._seq += 1
        self._snapshot()

    def over(self, over: bool = True) -> None:
        """Nothing will come any more, whether the stream said so or broke off: no button may wait for an answer.

        `over(False)` takes it back, for a conversation that goes on.
        """
        self.flush()
        self._over = over
        if self.comm is not None:
            self._seq += 1
            self._tell("patch", [])

    def deliver(self, message: dict[str, Any]) -> None:
        """Take a raw comm message, as the kernel's bridge hands it over."""
        callback = getattr(self.comm, "_msg_callback", None)
        if callback is not None:
            callback(message)

    def close(self) -> None:
        """Take the panel off every page. Closing twice is fine, and so is anything that comes after."""
        self._stop_timer()
        super().close()

    def __repr__(self) -> str:
        return repr(self._tree).replace("RunTree", type(self).__name__, 1)

    def _stop_timer(self) -> None:
        timer, self._timer = getattr(self, "_timer", None), None  # `close` is called on half-made widgets, too
        if timer is not None:
            timer.cancel()

    def _tell(self, kind: str, operations: list[Operation], **more: Any) -> None:
        message = {"k": kind, "seq": self._seq, "ops": operations, "now": round(time.time(), 2), **more}
        if self._over:
            message["over"] = True
        self.send(message)

    def _on_custom(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"k": "ready"}:
                self.ready.set()
                self.flush()
                if content.get("seq") != self._seq or self._seq == 0:  # a page asks in a silence whether it has all
                    self._snapshot()
            case {"k": "stop"}:
                self._pass_on({"k": "stop"})
            case {"k": "say", "text": str(text)} if text.strip() and self.chat:
                self._pass_on({"k": "say", "text": clean(text)})
            case {"k": "export", "format": str(kind)} if kind in _FILES:
                suffix, mime = _FILES[kind]
                name = re.sub(r"[^\w-]+", "-", self.title).strip("-") or "run"
                self.send({"k": "file", "name": name + suffix, "kind": mime, "text": self._export(kind)})
            case {"k": "relay", "id": str(relay_id), "approved": bool(approved)}:
                answer: dict[str, Any] = {"k": "relay", "id": relay_id, "approved": approved}
                reason, always = content.get("reason"), content.get("always")
                if isinstance(reason, str) and reason.strip():
                    answer["reason"] = clean(reason.strip())
                if always is True and approved:
                    answer["always"] = True
                edited = content.get("input")
                if isinstance(edited, dict) and approved:
                    answer["input"] = jsonable(edited)
                self._pass_on(answer)

    def _export_tree(self, kind: str) -> str:
        if kind == "html":
            return page(static_html(self._tree, title=self.title or None, details=True), self.title)
        if kind == "markdown":
            return transcript(self._tree)
        return json.dumps([_as_json(root) for root in self._tree.roots], ensure_ascii=False, indent=1)

    def _pass_on(self, message: dict[str, Any]) -> None:
        if self._on_message is not None:
            self._on_message(message)

    def _snapshot(self) -> None:
        if self.comm is None:
            return
        parts = list(_messages(_operations(self._tree.snapshot()))) or [[]]
        for number, operations in enumerate(parts):
            self._tell("snapshot", operations, part=number, parts=len(parts))


_FILES = {"html": (".html", "text/html"), "markdown": (".md", "text/markdown"), "json": (".json", "application/json")}


def _as_json(node: Node) -> dict[str, Any]:
    return {
        "kind": node.kind,
        "id": node.id,
        **{key: jsonable(value) for key, value in node.props.items()},
        **{stream: clean(node.text(stream)) for stream in node.streams},
        "children": [_as_json(child) for child in node.children],
    }


def live_bundle(panel: RunPanel) -> dict[str, Any]:
    """The output that holds the live view, and no word of text: beside it stands the static one."""
    view = {"version_major": 2, "version_minor": 1, "model_id": panel.model_id}
    return {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}


def _operations(changes: Iterable[Change]) -> Iterator[Operation]:
    new: set[int] = set()
    for change in changes:
        match change:
            case Added(node=node):
                new.add(node.key)
                parent = None if node.parent is None else node.parent.key
                yield ["n", node.key, parent, node.kind, {"id": clean(node.id), **_props(node.props)}]
            case Appended(node=node, stream=stream, text=text):
                text = clean(text)
                for start in range(0, len(text), MAX_MESSAGE // 4):
                    yield ["+", node.key, stream, text[start : start + MAX_MESSAGE // 4]]
            case Updated(node=node, props=props):
                if node.key not in new:  # a new node was told with the props that it has by now
                    yield ["s", node.key, _props(props)]


def _props(props: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _shortened(jsonable(value)) if key in {"output", "mime"} else jsonable(value)
        for key, value in props.items()
    }


def _shortened(value: Any) -> Any:
    """Without the far end of a huge output. What a person approves (`input`, `params`) is never cut."""
    if isinstance(value, str) and len(value) > MAX_OUTPUT:
        return f"{value[:MAX_OUTPUT]}\n… {len(value) - MAX_OUTPUT} more characters"
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: item if key.startswith("image/") else _shortened(item) for key, item in value.items()}
    return value


def _messages(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """In portions that a server takes."""
    portion: list[Operation] = []
    size = 0
    for operation in operations:
        weight = _weight(operation)
        if portion and size + weight > MAX_MESSAGE:
            yield portion
            portion, size = [], 0
        portion.append(operation)
        size += weight
    if portion:
        yield portion


def _weight(value: Any) -> int:
    """About how many bytes of JSON."""
    if isinstance(value, str):
        return 8 + (len(value) if value.isascii() else len(value.encode()))
    if isinstance(value, dict):
        return 8 + sum(_weight(key) + _weight(item) for key, item in value.items())
    if isinstance(value, list):
        return 8 + sum(map(_weight, value))
    return 12
