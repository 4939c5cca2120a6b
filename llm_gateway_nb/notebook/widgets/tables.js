import { h } from "./dom.js";
import { inline } from "./inline.js";

/** @param {string} line */
export function cells(line) {
  const parts = line.trim().replace(/^\|/, "").split(/(?<!\\)\|/);
  if (/(?<!\\)\|$/.test(line.trim())) parts.pop();
  return parts.map((part) => part.trim().replace(/\\\|/g, "|"));
}

/** @param {string} line @param {string[]} align */
export function tableRow(line, align) {
  const parts = cells(line);
  return h("tr", "", ...align.map((where, index) => aligned(h("td", "", ...inline(parts[index] ?? "")), where)));
}

/** @template {HTMLElement} T @param {T} cell @param {string} where */
export function aligned(cell, where) {
  if (where) cell.style.textAlign = where;
  return cell;
}
