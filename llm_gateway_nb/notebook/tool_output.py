"""What is printed or displayed while a run goes on: a tool's belongs to its call, anybody else's to the cell."""

from __future__ import annotations

import sys

from llm_gateway_nb.notebook.kernel import Output, current_shell
from llm_gateway_nb.tools.current import current_tool

__all__ = ["route_output"]


def route_output(output: Output) -> None:
    """What a tool prints is its progress; what anybody else prints goes where it would have gone."""
    ctx = current_tool.get()
    if ctx is not None:
        if output["output_type"] == "stream":
            ctx.progress({"stream": output["name"], "text": output["text"]})
        elif output["output_type"] in {"display_data", "update_display_data"}:
            text = output["data"].get("text/plain", "")
            ctx.progress({"mime": output["data"], "text": text + "\n"})
    elif output["output_type"] == "stream":
        getattr(sys, output["name"]).write(output["text"])
    else:
        shell = current_shell()
        if shell is not None and "data" in output:
            shell.display_pub.publish(
                output["data"],
                output["metadata"],
                transient=output["transient"],
                update=output["output_type"] == "update_display_data",
            )
