import { h } from "./dom.js";
import { block } from "./blocks.js";
import { prose } from "./format.js";

const LONGEST_LINE = 1500;

/**
 * What a model writes, line by line as it comes: headings, lists, fenced code, **bold** and `code` of Markdown, all else
 * as it stands. Only the last line is drawn again. No links and no images: they could carry data away.
 */
export class Prose {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.line = "";
    /** @type {HTMLElement | null} */
    this.last = null;
    /** @type {{ fence: string, pre: HTMLElement, lines: string[], box: HTMLElement } | null} */
    this.code = null;
    /** @type {HTMLElement | null} */
    this.group = null;
    this.held = "";
  }

  /** @param {string} text */
  append(text) {
    text = this.held + text;
    this.held = text.endsWith("\r") ? "\r" : "";
    const lines = prose(this.held ? text.slice(0, -1) : text).split("\n");
    const rest = /** @type {string} */ (lines.pop());
    for (const line of lines) {
      this.grow(line);
      this.end();
    }
    this.grow(rest);
    this.draw();
  }

  /** @param {string} text */
  grow(text) {
    this.line += text;
    while (this.line.length > LONGEST_LINE) {
      const space = this.line.lastIndexOf(" ", LONGEST_LINE);
      const end = space > LONGEST_LINE / 2 ? space + 1 : LONGEST_LINE;
      const rest = this.line.slice(end);
      this.line = this.line.slice(0, end);
      this.end();
      this.line = rest;
    }
  }

  /** The line is whole. */
  end() {
    const { line, code } = this;
    this.draw();
    const fence = /^\s{0,3}(```+|~~~+)\s*([\w+-]*)/.exec(line);
    if (code) {
      if (fence && fence[1].startsWith(code.fence) && !fence[2]) {
        code.box.replaceWith(block(code.lines.join("\n")));
        this.code = null;
      } else code.lines.push(line);
    } else if (fence) {
      this.last?.remove();
      const pre = h("pre", "");
      const box = h("div", "code", pre);
      this.host.append(box);
      this.group = null;
      this.code = { fence: fence[1], pre, lines: [], box };
    }
    this.last = null;
    this.line = "";
  }

  draw() {
    if (this.code) {
      if (this.last === null) {
        if (!this.line) return;
        if (/^\s{0,3}[`~]+\s*$/.test(this.line)) return; // may be the closing fence
        this.last = h("div", "");
        this.code.pre.append(this.last);
      }
      this.last.textContent = this.line || "\n";
      return;
    }
    if (this.last === null) {
      if (!this.line && !this.host.lastChild) return;
      // Groups bound what has to be laid out again when a line grows.
      if (this.group === null || this.group.childElementCount >= 40) this.host.append((this.group = h("div", "lines")));
      this.last = h("div", "");
      this.group.append(this.last);
    }
    drawLine(this.last, this.line);
  }
}

/** @param {HTMLElement} element @param {string} line */
function drawLine(element, line) {
  const heading = /^(#{1,6})\s+(.*)$/.exec(line);
  const item = heading ? null : /^(\s*)(?:([-*+•])|(\d{1,3}[.)]))\s+(.*)$/.exec(line);
  if (heading) {
    element.className = "lgnb-heading";
    element.replaceChildren(...inline(heading[2]));
  } else if (item) {
    element.className = "lgnb-item";
    element.style.marginInlineStart = `${Math.min(6, item[1].length) * 0.5}em`;
    element.replaceChildren(h("span", "bullet", item[2] ? "•" : item[3]), h("span", "", ...inline(item[4])));
  } else {
    element.className = line.trim() ? "lgnb-line" : "lgnb-gap";
    element.replaceChildren(...inline(line));
  }
}

/** @param {string} text @returns {(Node | string)[]} */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part, index) => {
    if (index % 2 === 0) return part;
    return part[0] === "`" ? h("code", "", part.slice(1, -1)) : h("strong", "", part.slice(2, -2));
  });
}
