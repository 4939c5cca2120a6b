"""A card that lives on a page: Python keeps the state, the page a picture of it.

To the page goes the whole picture, numbered and bounded in size, at most thirty times a second, as a custom message: a
synced trait stalls while a cell runs. A later picture makes up for a lost one, and a page asks in a silence whether it has
the last. From the page come `ready` and what a person did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import traitlets
from IPython.display import display

from llm_gateway_nb.notebook.kernel import call_in, let_through
from llm_gateway_nb.notebook.modules import read_module, read_styles
from llm_gateway_nb.notebook.panel import INTERVAL_SECONDS
from llm_gateway_nb.notebook.placed import PlacedWidget, view_of
from llm_gateway_nb.notebook.views.bits import Bit
from llm_gateway_nb.notebook.views.static import bits_html
from llm_gateway_nb.types import new_id

__all__ = ["LiveCard", "display_living"]


class LiveCard(PlacedWidget):
    """Shows what `draw` gives, anew whenever `changed` is called.

    Args:
        draw: the picture as it is now: `{"card": …}`, with `"form"` or `"rules"` where there is something to do.
        act: gets what a person did, in the loop of the cell that made the card.
    """

    _esm = read_module("card.js")
    _css = read_styles("panel.css", "card.css")
    first = traitlets.Dict().tag(sync=True)
    """The picture at the beginning: a page that comes while a cell runs has it without asking."""

    def __init__(self, draw: Callable[[], dict[str, Any]], act: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._draw = draw
        self._act = act
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        self._seq = 0
        self._drawn = draw()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        super().__init__(first=self._drawn)
        self.on_msg(self._on_custom)
        if self._loop is not None:
            let_through(self, self._loop, holds_cell=False)

    def changed(self) -> None:
        """It may look different now. From any thread."""
        self._in_loop(self._soon)

    def close(self) -> None:
        """Take it off every page. Closing twice is fine."""
        timer, self._timer = getattr(self, "_timer", None), None  # `close` is called on half-made widgets, too
        if timer is not None:
            timer.cancel()
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._drawn['card']['title']!r})"

    def _in_loop(self, callback: Callable[..., Any], *arguments: Any) -> None:
        if self._loop is None:
            callback(*arguments)
        else:
            call_in(self._loop, callback, *arguments)

    def _soon(self) -> None:
        """Now, if the last time is long enough ago, for the cell may go on to block the loop; and once more behind it, for
        what is happening may not have happened yet."""
        wait = self._last + INTERVAL_SECONDS - time.monotonic()
        if wait <= 0:
            self._tell()
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(max(wait, INTERVAL_SECONDS), self._later)

    def _later(self) -> None:
        self._timer = None
        self._tell()

    def _tell(self) -> None:
        if self.comm is None:
            return
        drawn = self._draw()
        if drawn != self._drawn:
            self._drawn = drawn
            self._seq += 1
            self._last = time.monotonic()
            self._send_picture()

    def _send_picture(self) -> None:
        self.send({"k": "card", "seq": self._seq, "picture": self._drawn})

    def _on_custom(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"k": "ready"}:
                self._in_loop(self._tell)
                if content.get("seq") != self._seq:
                    self._send_picture()
            case {"k": str()} if self._act is not None:
                self._in_loop(self._take, content)

    def _take(self, message: dict[str, Any]) -> None:
        """Do it, and say so: of what is not taken for a while the page says that it waits behind a cell."""
        assert self._act is not None
        try:
            self._act(message)
        finally:
            self.send({"k": "taken", "n": message.get("n")})


def display_living(live: LiveCard | None, bit: Bit, text: str) -> None:
    """The two outputs of a card in this cell: the living one, and what stays in the file, as it is at this moment.

    The living one hides the other for as long as it lives. Where nobody can watch there is none: a widget that is dead when
    the notebook is opened would stand there as an error.
    """
    view = {} if live is None else view_of(live)
    display({**view, "text/plain": ""}, raw=True, display_id=new_id())
    display({"text/plain": text, "text/html": _twin(bits_html(bit))}, raw=True)


def _twin(html: str) -> str:
    """The static output behind a living view, which hides it as long as it lives, by its stylesheet.

    Where a trusted notebook is opened without its kernel, the notebook puts an error in the place of the dead view. The one
    rule of style in here takes that away; where it is stripped there is no such error either.
    """
    return f'<style>{_NO_ERROR}</style><div class="lgnb-static">{html}</div>'


_NO_ERROR = (
    ".jp-OutputArea-child:has(>.jp-OutputArea-output.jupyter-widgets)"
    ":has(+.jp-OutputArea-child .lgnb-static){display:none}"
)
