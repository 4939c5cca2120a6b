"""The live view of one run: a tree is told to a page, patch by patch.

Python keeps the truth, the page a picture of it. They talk in custom messages only, since a synced trait stalls while a
cell runs. To the page go numbered patches, and a snapshot when it says that it is ready or has missed a number; from
the page come `ready`, answers to relays, and `stop`. What they look like is decided in `widgets/`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import traitlets

from llm_gateway_nb.graph.tree import RunTree
from llm_gateway_nb.notebook.export import exported
from llm_gateway_nb.notebook.modules import read_module, read_styles
from llm_gateway_nb.notebook.patches import Operation, portions
from llm_gateway_nb.notebook.placed import PlacedWidget, view_of
from llm_gateway_nb.notebook.text import clean, jsonable

__all__ = ["RunPanel", "live_and_plain", "live_bundle"]

INTERVAL_SECONDS = 1 / 30

_panels: WeakValueDictionary[int, RunPanel] = WeakValueDictionary()
"""By the identity of the tree, which a panel keeps alive."""


class RunPanel(PlacedWidget):
    """Shows `tree` as it grows. The owner folds events into it and calls `changed`; a tree has one panel.

    Args:
        title: stands in the heading.
        on_message: gets what a person did: `{"k": "relay", "id", "approved", "reason"?, "always"?, "input"?}`,
            `{"k": "stop"}`, or of a chat `{"k": "say", "text"}`.
        chat: with a line for the person's next turn.

    Attributes:
        ready: set as soon as a page shows the panel.
        pages: how many times a page has said that it shows this one; a reload counts again.
        pages_of_all: the same of all panels of this process.
    """

    pages_of_all: ClassVar[int] = 0

    _esm = read_module("panel.js")
    _css = read_styles("panel.css")
    title = traitlets.Unicode("").tag(sync=True)
    chat = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        tree: RunTree,
        *,
        title: str | None = None,
        on_message: Callable[[dict[str, Any]], None] | None = None,
        chat: bool = False,
    ) -> None:
        self.ready = asyncio.Event()
        self.pages = 0
        self._tree = tree
        self._on_message = on_message
        self._over = False
        self._unseen = False
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        # What is in the tree already counts as a patch that every page has missed.
        tree.take_changes()
        self._seq = 1 if tree.nodes else 0
        super().__init__(title=clean(title or ""), chat=chat)
        self.on_msg(self._on_custom)
        _panels[id(tree)] = self

    @classmethod
    def of(cls, tree: RunTree, title: str | None) -> RunPanel:
        """The panel of `tree`, shown again; of one that has none any more (or never had), one of what there is."""
        known = _panels.get(id(tree))
        if known is None or known.comm is None:
            known = cls(tree, title=title)
            known.over()
        return known

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
        changes = self._tree.take_changes()
        if changes and self.comm is not None:
            for operations in portions(changes):
                self._seq += 1
                self._tell("patch", operations)

    def retell(self, tree: RunTree) -> None:
        """Show another tree in the place of this one: every page draws it from the beginning."""
        self._stop_timer()
        tree.take_changes()
        self._tree = tree
        _panels[id(tree)] = self
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
        if over and self._unseen:
            self.close()

    def let_go(self) -> None:
        """No cell shows it any more: closed, at once or when it is over."""
        self._unseen = True
        if self._over:
            self.close()

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
                if "seq" not in content:  # a page that has it already asks whether it has all
                    self.pages += 1
                    RunPanel.pages_of_all += 1
                self.ready.set()
                self.flush()
                if content.get("seq") != self._seq or self._seq == 0:  # a page asks in a silence whether it has all
                    self._snapshot()
            case {"k": "stop"}:
                self._pass_on({"k": "stop"})
            case {"k": "say", "text": str(text)} if text.strip() and self.chat:
                self._pass_on({"k": "say", "text": clean(text)})
            case {"k": "export", "format": str(kind)}:
                if (file := exported(self._tree, self.title, kind)) is not None:
                    self.send({"k": "file", **file})
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

    def _pass_on(self, message: dict[str, Any]) -> None:
        if self._on_message is not None:
            self._on_message(message)

    def _snapshot(self) -> None:
        if self.comm is None:
            return
        parts = list(portions(self._tree.snapshot())) or [[]]
        for number, operations in enumerate(parts):
            self._tell("snapshot", operations, part=number, parts=len(parts))


def live_bundle(panel: RunPanel) -> dict[str, Any]:
    """The output that holds the live view, and no word of text: beside it stands the static one."""
    panel._unseen = False
    return {**view_of(panel), "text/plain": ""}


def live_and_plain(panel: RunPanel) -> dict[str, Any]:
    """A live view with a stable text beside it."""
    return {**live_bundle(panel), "text/plain": repr(panel)}
