import { h } from "./dom.js";

/** @typedef {(Node | string)[]} Inline */

const PUNCTUATION = /[!-/:-@[-`{-~]/;
const SPECIAL = /[\\`*_~[<!]/g;
const DEEPEST_SPAN = 12;

/**
 * The inside of a paragraph: code, emphasis, links. Links go to http, https and mailto only, and images are named, never
 * loaded: an address can carry data away.
 * @param {string} text @param {number} [depth] @returns {Inline}
 */
export function inline(text, depth = 0) {
  if (depth > DEEPEST_SPAN) return [text];
  /** @type {Inline} */
  const out = [];
  let from = 0;
  let at = 0;
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const found = SPECIAL.exec(text);
    if (!found) break;
    at = found.index;
    const taken = span(text, at, depth);
    if (taken === null) {
      at += runLength(text, at);
      continue;
    }
    if (at > from) out.push(text.slice(from, at));
    out.push(...taken.nodes);
    at = from = taken.end;
  }
  if (from < text.length) out.push(text.slice(from));
  return out;
}

/** How many of the same mark stand here: a run of marks that means nothing is text as a whole. @param {string} text @param {number} at */
function runLength(text, at) {
  let end = at + 1;
  if ("`*_~".includes(text[at])) while (text[end] === text[at]) end++;
  return end - at;
}

/** What begins at a mark, if anything does. @param {string} text @param {number} at @param {number} depth @returns {{ nodes: Inline, end: number } | null} */
function span(text, at, depth) {
  switch (text[at]) {
    case "\\":
      return PUNCTUATION.test(text[at + 1] ?? "") ? { nodes: [text[at + 1]], end: at + 2 } : null;
    case "`":
      return code(text, at);
    case "!":
      return text[at + 1] === "[" ? link(text, at + 1, depth, true) : null;
    case "[":
      return link(text, at, depth, false);
    case "<":
      return autolink(text, at);
    default:
      return emphasis(text, at, depth);
  }
}

/** @param {string} text @param {number} at */
function code(text, at) {
  const length = runLength(text, at);
  for (let end = text.indexOf("`", at + length); end >= 0; end = text.indexOf("`", end)) {
    const closing = runLength(text, end);
    if (closing === length) {
      let inside = text.slice(at + length, end).replace(/\n/g, " ");
      if (/^ .* $/.test(inside) && inside.trim()) inside = inside.slice(1, -1);
      return { nodes: [h("code", "", inside)], end: end + closing };
    }
    end += closing;
  }
  return null;
}

/** @param {string} text @param {number} at @param {number} depth @param {boolean} image */
function link(text, at, depth, image) {
  const label = bracketed(text, at);
  if (label === null || text[label + 1] !== "(") return null;
  const match = /^\(\s*(?:<([^<>\n]*)>|([^\s()<]*(?:\([^\s()]*\)[^\s()]*)*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(text.slice(label + 1));
  if (!match) return null;
  const end = label + 1 + match[0].length;
  const inside = text.slice(at + 1, label);
  if (image) return { nodes: [`[image: ${inside || "without a name"}]`], end };
  return { nodes: anchor(match[1] ?? match[2], inline(inside, depth + 1)), end };
}

/** Where the bracket that opens at `at` closes. @param {string} text @param {number} at */
function bracketed(text, at) {
  let open = 0;
  for (let i = at; i < text.length && i < at + 2000; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "[") open++;
    else if (text[i] === "]" && --open === 0) return i;
  }
  return null;
}

/** @param {string} text @param {number} at */
function autolink(text, at) {
  const match = /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/i.exec(text.slice(at, at + 2000));
  return match && { nodes: anchor(match[1], [match[1]]), end: at + match[0].length };
}

/** @param {string} address @param {Inline} inside @returns {Inline} */
function anchor(address, inside) {
  if (!/^(?:https?:\/\/|mailto:)/i.test(address)) return inside;
  const element = h("a", "", ...inside);
  element.href = element.title = address;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
  return [element];
}

/** @param {string} text @param {number} at @param {number} depth */
function emphasis(text, at, depth) {
  const mark = text[at];
  const length = runLength(text, at);
  const size = mark === "~" ? 2 : Math.min(length, 3);
  if (mark === "~" && length !== 2) return null;
  const next = text[at + length] ?? " ";
  if (/\s/.test(next) || (mark === "_" && /[\p{L}\p{N}]/u.test(text[at - 1] ?? " "))) return null;
  for (let take = size; take > 0; take--) {
    const end = closing(text, at + length, mark, take);
    if (end === null) continue;
    const start = at + length;
    let nodes = inline(text.slice(start, end), depth + 1);
    if (mark === "~") nodes = [h("s", "", ...nodes)];
    else {
      if (take >= 2) nodes = [h("strong", "", ...nodes)];
      if (take !== 2) nodes = [h("em", "", ...nodes)];
    }
    if (length > take) nodes.unshift(mark.repeat(length - take));
    return { nodes, end: end + take };
  }
  return null;
}

/** Where `take` marks close what opened before `from`. @param {string} text @param {number} from @param {string} mark @param {number} take */
function closing(text, from, mark, take) {
  for (let i = from; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "`") {
      const skipped = code(text, i);
      i = skipped ? skipped.end - 1 : i + runLength(text, i) - 1;
    } else if (text[i] === mark) {
      const length = runLength(text, i);
      const before = text[i - 1];
      const after = text[i + length] ?? " ";
      const closes = !/\s/.test(before) && !(mark === "_" && /[\p{L}\p{N}]/u.test(after));
      const opens = !/\s/.test(after) && (/\s/.test(before) || PUNCTUATION.test(before));
      if (closes && !opens && (length === take || length > take + 1 || (length === 3 && take < 3))) return i + length - take;
      if (closes && length === take) return i;
      i += length - 1;
    }
  }
  return null;
}
