import { block } from "./blocks.js";
import { h } from "./dom.js";
import { prose } from "./format.js";
import { highlighter } from "./highlight.js";
import { inline } from "./inline.js";
import { aligned, cells, tableRow } from "./tables.js";

const LONGEST_LINE = 1500;
const LONGEST_BLOCK = 4000;
const ITEMS_A_LIST = 40;
const BLOCKS_A_GROUP = 40;
const DEEPEST_BLOCK = 8;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*))?$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const TABLE = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

/** @typedef {"paragraph" | "list" | "quote" | "table" | "code"} Kind */
/** @typedef {{ kind: Kind, lines: string[], length: number, element: HTMLElement, gap: boolean, start: number, fence: string, align: string[] }} Open */

/**
 * What a model writes, as Markdown, while it comes: what is behind stays as it is, only the last block is drawn again.
 * The same as `notebook/markdown.py` makes of it when it is saved.
 */
export class Prose {
  /** @param {HTMLElement} host @param {number} [depth] */
  constructor(host, depth = 0) {
    this.host = host;
    this.depth = depth;
    this.line = "";
    this.held = "";
    /** @type {Open | null} */
    this.open = null;
    /** @type {HTMLElement | null} */
    this.group = null;
    /** The line that is still coming, where no block is open. @type {HTMLElement | undefined} */
    this.coming = undefined;
  }

  /** @param {string} text */
  append(text) {
    text = this.held + text;
    this.held = text.endsWith("\r") ? "\r" : "";
    const lines = prose(this.held ? text.slice(0, -1) : text).split("\n");
    const rest = /** @type {string} */ (lines.pop());
    for (const line of lines) {
      this.grow(line);
      this.feed(this.line);
      this.line = "";
    }
    this.grow(rest);
    this.draw(this.line);
  }

  /** Lines at once, to their end. @param {string[]} lines */
  whole(lines) {
    for (const line of lines) this.feed(line);
    this.draw("");
    this.close();
  }

  /** A line without end is broken, since all of a line is drawn again when it grows. @param {string} text */
  grow(text) {
    this.line += text;
    while (this.line.length > LONGEST_LINE && this.open?.kind !== "table") {
      const space = this.line.lastIndexOf(" ", LONGEST_LINE);
      const end = space > LONGEST_LINE / 2 ? space + 1 : LONGEST_LINE;
      const rest = this.line.slice(end);
      this.feed(this.line.slice(0, end));
      if (this.open?.kind === "paragraph") this.close("run-on");
      this.line = rest;
    }
  }

  /** A whole line. @param {string} line */
  feed(line) {
    const { open } = this;
    if (open?.kind === "code") {
      const fence = FENCE.exec(line);
      if (fence && fence[1].startsWith(open.fence) && !fence[2].trim()) this.close();
      else this.take(line);
      return;
    }
    if (!line.trim()) {
      if (open?.kind === "list") open.gap = true;
      else this.close();
      return;
    }
    const indented = /^\s/.test(line);
    if (open?.kind === "list" && (indented || !open.gap) && !this.interrupts(line)) return this.take(line);
    const fence = FENCE.exec(line);
    if (fence) {
      this.begin("code").fence = fence[1];
      /** @type {Open} */ (this.open).element.dataset.language = fence[2].trim().split(/\s+/)[0];
      return;
    }
    const heading = HEADING.exec(line);
    if (heading) {
      this.close();
      this.put(h(/** @type {"h4"} */ (`h${Math.min(6, heading[1].length + 2)}`), `heading h${heading[1].length}`, ...inline(heading[2] ?? "")));
      return;
    }
    if (RULE.test(line)) {
      this.close();
      this.put(h("hr", ""));
      return;
    }
    const item = ITEM.exec(line);
    if (item && (open?.kind !== "paragraph" || (item[3] && /^(?:\D|1\D)/.test(item[2])))) {
      const number = Number.parseInt(item[2], 10);
      const full = open?.kind === "list" && open.lines.length >= ITEMS_A_LIST;
      if (open?.kind !== "list" || full || sort(open.lines[0]) !== sort(line)) {
        if (full) /** @type {Open} */ (open).element.classList.add("lgnb-goes-on");
        this.begin("list").start = Number.isNaN(number) ? 0 : number;
      }
      this.take(line);
      return;
    }
    if (QUOTE.test(line)) {
      if (open?.kind !== "quote") this.begin("quote");
      this.take(line);
      return;
    }
    if (open?.kind === "paragraph" && this.becomesTable(line)) return;
    if (open?.kind === "list") this.close(); // after a gap, at the margin
    if (!this.open) this.begin("paragraph");
    this.take(line);
  }

  /** Does the line end a list that is open? @param {string} line */
  interrupts(line) {
    if (/^ {2,}/.test(line)) return false;
    return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
  }

  /** Is the line the second one of a table, and the last one its head? @param {string} line */
  becomesTable(line) {
    const open = /** @type {Open} */ (this.open);
    const head = open.lines.at(-1) ?? "";
    if (!TABLE.test(line) || !line.includes("|") || !head.includes("|") || cells(head).length !== cells(line).length) return false;
    open.lines.pop();
    if (open.lines.length) this.draw("");
    else {
      open.element.remove();
      this.open = null;
    }
    const table = this.begin("table");
    table.align = cells(line).map((cell) => (/^:-+:$/.test(cell) ? "center" : cell.endsWith(":") ? "right" : ""));
    const row = h("tr", "", ...cells(head).map((cell, index) => aligned(h("th", "", ...inline(cell)), table.align[index])));
    table.element.append(h("table", "", h("thead", "", row), h("tbody", "")));
    return true;
  }

  /** @param {Kind} kind */
  begin(kind) {
    this.close();
    const element = kind === "paragraph" ? h("p", "") : kind === "quote" ? h("blockquote", "") : h("div", kind === "code" ? "code" : kind);
    this.open = { kind, lines: [], length: 0, element, gap: false, start: 0, fence: "", align: [] };
    this.put(element);
    return this.open;
  }

  /** @param {string} line */
  take(line) {
    const open = /** @type {Open} */ (this.open);
    if (open.gap) open.lines.push("");
    open.gap = false;
    if (open.kind === "table") {
      const body = /** @type {HTMLElement} */ (open.element.querySelector("tbody"));
      body.querySelector(".lgnb-coming")?.remove();
      body.append(tableRow(line, open.align));
      return;
    }
    if (open.kind === "code") {
      open.lines.push(line);
      const pre = this.pre(open);
      pre.querySelector(".lgnb-coming")?.remove();
      pre.append(h("div", "", line || "\n"));
      return;
    }
    open.lines.push(line);
    open.length += line.length;
    if (open.kind !== "list" && open.length > LONGEST_BLOCK) this.close("run-on");
  }

  /** @param {Open} open */
  pre(open) {
    if (!open.element.firstElementChild) open.element.append(h("pre", ""));
    return /** @type {HTMLElement} */ (open.element.firstElementChild);
  }

  /** The block that is still open, with the line that is still coming. @param {string} coming */
  draw(coming) {
    const { open } = this;
    if (!open) {
      if (!coming.trim() || /^ {0,3}(?:[`~]{1,2}|[`~]{3,}.*|\d{1,9}|[-*+_#>|=]+|\d{1,9}[.)])\s*$/.test(coming)) return; // a mark may follow, or be one
      // What begins now may turn out to be anything: it is drawn as what it looks like, and taken back with its line.
      this.coming ??= this.put(h("div", "coming"));
      const look = new Prose(this.coming, this.depth);
      this.coming.replaceChildren();
      look.feed(coming);
      look.draw("");
      return;
    }
    this.coming?.remove();
    this.coming = undefined;
    const lines = coming.trim() ? [...open.lines, coming] : open.lines;
    if (open.kind === "paragraph") open.element.replaceChildren(...inline(lines.map((line) => line.trim()).join("\n")));
    else if (open.kind === "quote") {
      open.element.replaceChildren();
      const inside = lines.map((line) => QUOTE.exec(line)?.[1] ?? line);
      if (this.depth < DEEPEST_BLOCK) new Prose(open.element, this.depth + 1).whole(inside);
      else open.element.append(inside.join("\n"));
    } else if (open.kind === "list") {
      const marks = open.gap && coming.trim() && !/^\s/.test(coming) && !ITEM.test(coming);
      open.element.replaceChildren(list(marks ? open.lines : lines, open.start, this.depth));
    } else {
      const host = open.kind === "code" ? this.pre(open) : /** @type {HTMLElement} */ (open.element.querySelector("tbody"));
      host.querySelector(".lgnb-coming")?.remove();
      if (coming && !(open.kind === "code" && /^\s{0,3}[`~]+\s*$/.test(coming))) {
        const row = open.kind === "code" ? h("div", "", coming) : tableRow(coming, open.align);
        row.classList.add("lgnb-coming");
        host.append(row);
      }
    }
  }

  /** The open block is whole. @param {string} [cls] */
  close(cls = "") {
    const { open } = this;
    this.coming?.remove();
    this.coming = undefined;
    if (!open) return;
    if (open.kind === "code") {
      const { language = "" } = open.element.dataset;
      const text = open.lines.join("\n");
      open.element.replaceWith(language === "diff" || language === "patch" ? block(text, "fenced") : block(text, "fenced", highlighter(language)));
    } else this.draw("");
    if (cls) open.element.classList.add(`lgnb-${cls}`);
    this.open = null;
  }

  /** Groups bound what has to be laid out again when a block grows. @template {HTMLElement} T @param {T} element @returns {T} */
  put(element) {
    if (this.depth > 0) this.host.append(element);
    else {
      if (this.group === null || this.group.childElementCount >= BLOCKS_A_GROUP) this.host.append((this.group = h("div", "blocks")));
      this.group.append(element);
    }
    return element;
  }
}

/** Which list a line belongs to. @param {string} line */
function sort(line) {
  const mark = ITEM.exec(line)?.[2] ?? "";
  return /\d/.test(mark) ? mark.at(-1) : mark;
}

/** @param {string[]} lines @param {number} start @param {number} depth */
function list(lines, start, depth) {
  const ordered = /^\s*\d/.test(lines[0] ?? "");
  const element = ordered ? h("ol", "") : h("ul", "");
  if (ordered && start !== 1) element.setAttribute("start", String(start));
  const margin = /^\s*/.exec(lines[0] ?? "")?.[0].length ?? 0;
  /** @type {string[][]} */
  const items = [];
  let inset = 0;
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && (items.length === 0 || item[1].length < Math.max(margin + 2, inset))) {
      inset = item[1].length + item[2].length + 1;
      items.push([item[3] ?? ""]);
    } else items.at(-1)?.push(line.replace(new RegExp(`^\\s{0,${inset}}`), ""));
  }
  for (const item of items) {
    const host = h("li", "");
    const task = /^\[([ xX])\]\s/.exec(item[0]);
    if (task) {
      item[0] = `${task[1] === " " ? "☐" : "☑"} ${item[0].slice(4)}`;
      host.className = "lgnb-task";
    }
    if (depth < DEEPEST_BLOCK) new Prose(host, depth + 1).whole(item);
    else host.append(item.join("\n"));
    element.append(host);
  }
  return element;
}
