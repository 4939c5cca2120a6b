import { block } from "./blocks.js";
import { h } from "./dom.js";
import { shown } from "./format.js";
import { Prose } from "./prose.js";

/** The pieces of a view, as `notebook/views/bits.py` makes them. @typedef {{ b: string, [key: string]: any }} Bit */

/** A state in a word and a colour. @param {string} word @param {string} tone */
export function badge(word, tone) {
  const mark = h("span", "mark");
  const element = h("span", "badge", mark, h("span", "", shown(word)));
  mark.dataset.tone = element.dataset.tone = tone;
  return element;
}

/**
 * A piece on the page. Whatever a model wrote becomes text nodes.
 * @param {Bit} bit
 * @returns {HTMLElement}
 */
export function draw(bit) {
  switch (bit.b) {
    case "card": {
      const head = h("div", "card-head", h("strong", "card-title", shown(bit.title)));
      if (bit.about) head.append(h("span", "about", shown(bit.about)));
      if (bit.badge) head.append(draw(bit.badge));
      return h("div", "card", head, h("div", "card-body", ...bit.inside.map(draw)));
    }
    case "badge":
      return badge(bit.word, bit.tone);
    case "note":
      return h("p", "small", shown(bit.text));
    case "prose": {
      const host = h("div", "prose");
      host.dir = "auto";
      new Prose(host).append(bit.text);
      return host;
    }
    case "code":
      return block(shown(bit.text));
    case "line": {
      const element = h("code", "value", shown(bit.text));
      if (bit.tone) element.dataset.tone = bit.tone;
      return element;
    }
    case "table":
      return grid(bit);
    case "fold":
      return h("details", "fold", h("summary", "", shown(bit.summary)), ...bit.inside.map(draw));
    case "bubble":
      return h("div", `bubble ${bit.side}-side`, h("div", "who", shown(bit.who)), ...bit.inside.map(draw));
    case "image": {
      const image = h("img", "picture");
      image.alt = bit.alt;
      // Pixels that came with the message, never an address.
      if (/^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*$/.test(bit.src)) image.src = bit.src;
      return image;
    }
    case "file":
      return h("div", "file", h("code", "", shown(bit.name)), " ", h("span", "small", shown(bit.note)));
    default:
      return h("div", "");
  }
}

/** @param {Bit} bit */
function grid(bit) {
  if (!bit.rows.length) return h("p", "small", shown(bit.empty));
  const element = h("table", "grid");
  if (bit.head.some(Boolean)) {
    const row = h("tr", "");
    for (const name of bit.head) {
      const cell = h(name ? "th" : "td", "", shown(name));
      if (name) cell.setAttribute("scope", "col");
      row.append(cell);
    }
    element.append(h("thead", "", row));
  }
  const body = h("tbody", "");
  for (const cells of bit.rows) {
    body.append(h("tr", "", ...cells.map((/** @type {any} */ cell) => h("td", "", typeof cell === "string" ? shown(cell) : draw(cell)))));
  }
  element.append(body);
  return h("div", "grid-box", element);
}
