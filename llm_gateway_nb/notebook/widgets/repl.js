import { block, output, Progress } from "./blocks.js";
import { h } from "./dom.js";
import { duration, shown } from "./format.js";
import { python } from "./highlight.js";
import { NodeView } from "./nodes.js";
import { rich } from "./rich.js";

/** @typedef {import("./format.js").Props} Props */

/** A turn of the REPL, as a cell in the cell. */
export class ReplView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    const { iteration, code } = this.props;
    this.mark = h("span", "mark");
    this.word = h("span", "word");
    this.took = h("span", "took");
    this.out = h("div", "out");
    this.error = h("div", "slot");
    this.results = h("div", "slot");
    this.body = h("div", "children");
    const number = typeof iteration === "number" ? `[${iteration + 1}]` : "[ ]";
    this.element.append(
      h("div", "cell", h("div", "prompt", `In ${number}:`), h("div", "source", block(shown(String(code ?? "")), "input", python), h("div", "foot", this.mark, this.word, this.took))),
      h("div", "cell", h("div", "prompt prompt-out"), h("div", "source", this.out, this.body, this.results, this.error)),
    );
    /** @type {Map<string, { progress: Progress, text: string }>} */
    this.streams = new Map();
  }

  /** @param {string} stream @param {string} text */
  append(stream, text) {
    let one = this.streams.get(stream);
    if (!one) {
      this.streams.set(stream, (one = { progress: new Progress(this.view), text: "" }));
      one.progress.element.classList.add(stream === "stderr" ? "lgnb-stderr" : "lgnb-stdout");
      this.out.append(one.progress.element);
    }
    one.text = (one.text + text).slice(-400_000);
    one.progress.append(text);
  }

  /** @param {Props} props */
  update(props) {
    const { status, durationMs, truncated } = this.props;
    const [word, tone] = status === "running" ? ["running", "busy"] : status === "error" ? ["failed", "bad"] : [truncated ? "output cut short for the model" : "", "good"];
    this.element.dataset.tone = this.mark.dataset.tone = tone;
    this.word.textContent = word;
    if (typeof durationMs === "number") this.took.textContent = duration(durationMs / 1000);
    if (props.status && props.status !== "running") this.whole();
    if (Array.isArray(props.mime)) this.results.replaceChildren(...props.mime.flatMap((bundle) => rich(bundle, this.view)));
    if (props.error) this.error.replaceChildren(output(String(props.error), "bad"));
  }

  /** It has all been printed: now with its colours, and its beginning first. */
  whole() {
    this.out.replaceChildren();
    for (const [stream, { text }] of this.streams) {
      if (text.trim()) this.out.append(output(text, `printed ${stream === "stderr" ? "stderr" : "stdout"}`));
    }
    this.streams.clear();
  }
}
