import { h, iconButton } from "./dom.js";

const MOST_FOUND = 500;
const FOUND = "lgnb-found";

/** Finds text in a run: also what is folded away, or has been cut short. */
export class Search {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    /** Nodes in which it stands. @type {number[]} */
    this.found = [];
    this.at = 0;
    this.field = h("input", "field");
    this.field.type = "search";
    this.field.placeholder = "Search this run";
    this.field.setAttribute("aria-label", "Search this run");
    this.count = h("span", "found");
    this.count.setAttribute("role", "status");
    this.element = h("div", "search", this.field, this.count, iconButton("up", "Previous", () => this.step(-1)), iconButton("down", "Next", () => this.step(1)));
    this.element.hidden = true;
    this.field.addEventListener("input", () => this.look());
    this.element.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.toggle();
      else if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
      else return;
      event.preventDefault();
    });
  }

  toggle() {
    this.element.hidden = !this.element.hidden;
    if (this.element.hidden) {
      this.mark(null);
      this.view.body.focus({ preventScroll: true });
    } else this.field.select();
  }

  look() {
    const needle = this.field.value.toLowerCase();
    this.found = [];
    this.at = 0;
    if (needle) {
      for (const node of this.view.store.nodes.values()) {
        const texts = [...node.streams.values(), ...Object.entries(node.props).flatMap(([name, value]) => (SEEN.has(name) ? [typeof value === "string" ? value : JSON.stringify(value)] : []))];
        if (texts.some((text) => text.toLowerCase().includes(needle))) this.found.push(node.key);
        if (this.found.length >= MOST_FOUND) break;
      }
    }
    this.show();
  }

  /** @param {number} by */
  step(by) {
    if (!this.found.length) return;
    this.at = (this.at + by + this.found.length) % this.found.length;
    this.show();
  }

  show() {
    const { length } = this.found;
    this.count.textContent = !this.field.value ? "" : length ? `${this.at + 1} of ${length}${length >= MOST_FOUND ? "+" : ""}` : "nothing found";
    const node = length ? this.view.nodes.get(this.found[this.at]) : null;
    this.mark(node?.element ?? null);
    if (node) this.view.reveal(node.element);
  }

  /** Paint the word where it stands, without touching the text. @param {HTMLElement | null} element */
  mark(element) {
    for (const old of this.view.content.querySelectorAll(".lgnb-hit")) old.classList.remove("lgnb-hit");
    element?.classList.add("lgnb-hit");
    const { highlights } = /** @type {any} */ (CSS);
    if (!highlights) return;
    highlights.delete(FOUND);
    if (!element) return;
    const needle = this.field.value.toLowerCase();
    const ranges = [];
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text && ranges.length < MOST_FOUND; text = walker.nextNode()) {
      const whole = (text.nodeValue ?? "").toLowerCase();
      for (let from = whole.indexOf(needle); from >= 0; from = whole.indexOf(needle, from + needle.length)) {
        const range = new Range();
        range.setStart(text, from);
        range.setEnd(text, Math.min(from + needle.length, text.nodeValue?.length ?? 0));
        ranges.push(range);
      }
    }
    highlights.set(FOUND, new /** @type {any} */ (globalThis).Highlight(...ranges));
  }
}

const SEEN = new Set(["name", "input", "output", "code", "error", "tool", "params", "reason", "title", "model"]);
