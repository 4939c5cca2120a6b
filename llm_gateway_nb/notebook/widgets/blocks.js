import { button, fold, h, stickToEnd, TextStream } from "./dom.js";
import { looksLikeDiff, printed, shown, unprinted } from "./format.js";
import { ansi, diff, highlighter } from "./highlight.js";

const OPEN_LINES = 12;
const OPEN_LENGTH = 1500;

/**
 * A block of code or output with a button that copies it. What is long shows its beginning, and a button for the rest.
 * @param {string} text @param {string} [cls] @param {(text: string) => (Node | string)[]} [paint]
 */
export function block(text, cls = "", paint = looksLikeDiff(text) ? diff : undefined) {
  const pre = h("pre", "");
  const element = h("div", `code ${cls}`, pre, copyButton(() => text));
  const end = headEnd(text);
  const head = text.slice(0, end);
  if (paint && head.length < 50_000) pre.append(...paint(head));
  else pre.append(head);
  if (end < text.length) {
    element.classList.add("lgnb-cut");
    const lines = text.split("\n").length;
    const more = button("more", lines > OPEN_LINES ? `Show all ${lines} lines` : "Show all", () => {
      element.classList.remove("lgnb-cut");
      const rest = text.slice(end).replace(/^\n/, "");
      if (paint && text.length < 50_000) pre.replaceChildren(...paint(text));
      else new TextStream(pre).append(rest);
      more.remove();
    });
    element.append(more);
  }
  return element;
}

/** @param {string} text */
function headEnd(text) {
  if (text.length <= OPEN_LENGTH && text.split("\n", OPEN_LINES + 3).length <= OPEN_LINES + 2) return text.length;
  let end = -1;
  for (let line = 0; line < OPEN_LINES; line++) {
    const next = text.indexOf("\n", end + 1);
    if (next < 0 || next > OPEN_LENGTH) return end > 0 ? end : Math.min(text.length, OPEN_LENGTH);
    end = next;
  }
  return end;
}

/** @param {() => string} text */
export function copyButton(text) {
  const element = button("copy", "Copy", async () => {
    try {
      await navigator.clipboard.writeText(text());
      element.textContent = "Copied";
    } catch {
      element.textContent = "Not allowed here"; // a page without https, or a browser that forbids it
    }
    setTimeout(() => (element.textContent = "Copy"), 1500);
  });
  return element;
}

/**
 * The arguments of a call in full: JSON, with texts of several lines, patches and code as they are.
 * @param {any} input
 * @returns {HTMLElement[]}
 */
export function argumentBlocks(input) {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return [typeof input === "string" ? block(shown(input)) : json(input)];
  }
  const texts = Object.entries(input).filter(([, value]) => typeof value === "string" && value.includes("\n"));
  const rest = Object.fromEntries(Object.entries(input).filter(([, value]) => !(typeof value === "string" && value.includes("\n"))));
  const blocks = Object.keys(rest).length ? [json(rest)] : [];
  for (const [key, value] of texts) blocks.push(h("div", "label", shown(key)), block(shown(value)));
  return blocks;
}

/** @param {any} value */
export function json(value) {
  return block(shown(JSON.stringify(value, null, 2)), "", highlighter("json"));
}

/**
 * What a program printed, as a terminal would have left it standing, in its colours.
 * @param {string} text @param {string} [cls]
 */
export function output(text, cls = "") {
  const left = unprinted(text).replace(/^\n+|\s+$/g, "");
  if (!left.includes("\x1b")) return block(shown(left), cls);
  const element = block(left, cls, ansi);
  element.querySelector(".lgnb-copy")?.replaceWith(copyButton(() => printed(text)));
  return element;
}

/** Output that is still coming: its last part, kept at the end unless somebody scrolls up. */
export class Progress {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.pre = h("pre", "");
    this.element = h("div", "code progress", this.pre);
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", "live output");
    this.stream = new TextStream(this.pre, 64_000);
    view.ending.push(stickToEnd(this.element, this.pre).end);
    this.held = "";
    this.text = "";
    /** @type {HTMLDetailsElement | null} */
    this.fold = null;
  }

  /** @param {string} text */
  append(text) {
    text = this.held + text;
    // Half an escape sequence, or half a line end, waits for its other half.
    this.held = /(?:\x1b(?:\[[0-?]*[ -/]*)?|\r)$/.exec(text)?.[0] ?? "";
    const parts = text.slice(0, text.length - this.held.length).replace(/\r+\n/g, "\n").split("\r");
    for (const [index, part] of parts.entries()) {
      if (index) {
        this.stream.returnToLine(); // a progress bar writes over itself
        this.text = this.text.slice(0, this.text.lastIndexOf("\n") + 1);
      }
      const plain = printed(part);
      this.text = (this.text + plain).slice(-200_000);
      this.stream.append(plain);
    }
  }

  /** There is a result now: fold it away, or leave it out if the result says the same. @param {string} result */
  superseded(result) {
    if (!this.fold) {
      this.fold = fold("", "Live output");
      this.element.replaceWith(this.fold);
      this.fold.append(this.element);
    }
    this.fold.hidden = result.includes(this.text.trim());
  }
}
