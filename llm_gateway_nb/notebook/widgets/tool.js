import { argumentBlocks, block, json, output, Progress } from "./blocks.js";
import { fold, h, whenOpened } from "./dom.js";
import { duration, looksLikeDiff, oneLine, shown, TOOL_WORDS, whole } from "./format.js";
import { attachments } from "./media.js";
import { ErrorView, NodeView, RelayView } from "./nodes.js";
import { saidBelow } from "./summary.js";

/** @typedef {import("./format.js").Props} Props */

/** A call: what was asked for, what it says on the way, what is nested in it, what came out. */
export class ToolView extends NodeView {
  /** @param {ConstructorParameters<typeof NodeView>} args */
  constructor(...args) {
    super(...args);
    this.mark = h("span", "mark");
    this.line = h("code", "line");
    this.word = h("span", "word");
    this.took = h("span", "took");
    this.slot = h("div", "slot");
    this.result = h("div", "slot");
    /** The output. */
    this.text = "";
    this.body = h("div", "children");
    const name = h("strong", "tool-name", shown(String(this.props.name ?? "tool")));
    const summary = h("summary", "tool-head", this.mark, name, this.line, this.word, this.took);
    const details = h("details", "tool", summary, this.slot, this.body, this.result);
    details.open = true;
    this.element = details;
  }

  /** @param {string} stream @param {string} text */
  append(stream, text) {
    if (stream !== "progress" && stream !== "text") return;
    if (!this.progress) {
      this.progress = new Progress(this.view);
      this.result.before(this.progress.element);
    }
    this.progress.append(text);
    if (this.text) this.progress.superseded(this.text);
  }

  /** @param {Props} props */
  update(props) {
    if ("status" in props) {
      this.slot.hidden = props.status === "asking"; // the question shows them in full
      const [word, tone] = TOOL_WORDS[props.status] ?? [shown(String(props.status ?? "")), "quiet"];
      this.word.textContent = word;
      this.element.dataset.tone = this.mark.dataset.tone = tone;
    }
    if ("input" in props || "cell" in props) this.arguments(this.props.input);
    if ("startedAt" in props || "endedAt" in props) {
      const { startedAt, endedAt } = this.props;
      const took = typeof startedAt === "number" && typeof endedAt === "number" ? endedAt - startedAt : 0;
      this.took.textContent = took >= 0.1 ? duration(took) : ""; // what is not felt is not told
    }
    if ("output" in props || "status" in props) this.output();
  }

  /** @param {any} input */
  arguments(input) {
    const { line, complete } = oneLine(input);
    this.line.textContent = line;
    this.slot.replaceChildren();
    if (complete || this.props.cell) return; // a cell below shows the code
    const patch = Object.values(Object(input)).find((value) => typeof value === "string" && looksLikeDiff(value));
    if (patch) this.slot.append(block(shown(patch), "patch"));
    const details = fold("", "Arguments");
    whenOpened(details, () => argumentBlocks(input));
    this.slot.append(details);
  }

  output() {
    const { status, output: value } = this.props;
    if (value === undefined && (status === "running" || status === "asking")) return;
    const media = Array.isArray(value) ? value.filter((part) => part?.type === "image" || part?.type === "document") : [];
    const rest = media.length ? value.filter((/** @type {any} */ part) => !media.includes(part)).map((/** @type {any} */ part) => part?.text ?? part) : value;
    const all = whole(media.length && rest.every((/** @type {any} */ one) => typeof one === "string") ? rest.join("\n") : rest).replace(/^\n+|\n+$/g, "");
    const text = (this.text = status === "denied" ? this.untold(all) : all);
    this.result.replaceChildren(...attachments(media));
    if (this.props.cell && status !== "denied") return; // and what came of it
    if (!text || saidBelow(this.view, this, text) || (media.length && !rest.length)) return;
    const bad = status === "error" || status === "denied" ? "bad" : "";
    this.result.prepend(typeof rest === "string" ? (status === "denied" ? block(text, bad) : output(rest, bad)) : isJson(rest) ? json(rest) : block(text, bad));
    this.view.told.add(this);
    this.progress?.superseded(text);
    for (const child of this.view.childrenOf(this)) if (child instanceof ErrorView) child.superseded(text);
  }

  /** Of a denial what the question does not tell already. @param {string} text */
  untold(text) {
    const reason = text.replace(/^denied\b[:.]?\s*/i, "");
    const told = [...this.view.childrenOf(this)].some((child) => child instanceof RelayView && child.props.reason === reason);
    return told ? "" : reason;
  }
}

/** @param {any} value */
function isJson(value) {
  return typeof value === "object" && value !== null;
}
