import { block, output } from "./blocks.js";
import { h } from "./dom.js";
import { whole } from "./format.js";

/** @typedef {{ rendermime: any, attached: (() => void)[] }} Renderers the notebook's own, where it has them; and how to let go of what they made */

const PIXEL_KINDS = ["image/png", "image/jpeg"];

/**
 * A rich result: drawn by the notebook's own renderers, untrusted; where there are none, its pixels or its plain side.
 * Script, remote images and SVG of a REPL never run here: what is not known to be harmless is shown as text.
 * @param {any} bundle @param {Renderers} renderers
 * @returns {Node[]}
 */
export function rich(bundle, renderers) {
  const data = Object(bundle?.data ?? bundle);
  for (const kind of PIXEL_KINDS) {
    const pixels = Array.isArray(data[kind]) ? data[kind].join("") : data[kind];
    if (typeof pixels === "string" && /^[A-Za-z0-9+/=\s]+$/.test(pixels)) {
      const image = h("img", "plot");
      image.alt = String(data["text/plain"] ?? "plot").slice(0, 200);
      image.src = `data:${kind};base64,${pixels}`;
      return [image];
    }
  }
  const plain = Array.isArray(data["text/plain"]) ? data["text/plain"].join("") : data["text/plain"];
  const rest = harmless(data);
  if (renderers.rendermime && rest) return [byNotebook(rest, plain, renderers)];
  return plain ? [output(whole(plain))] : [];
}

/**
 * What a renderer may have: tables, formulas and JSON, without an address that would be loaded.
 * @param {Record<string, any>} data
 */
function harmless(data) {
  for (const kind of ["text/html", "text/latex", "application/json"]) {
    let value = data[kind];
    if (Array.isArray(value) && kind !== "application/json") value = value.join("");
    if (value === undefined || (typeof value === "string" && value.length > 400_000)) continue;
    return { [kind]: kind === "text/html" ? unloading(String(value)) : value };
  }
  return null;
}

/** HTML without anything that loads by itself: the notebook's sanitizer lets images through. @param {string} html */
function unloading(html) {
  const page = new DOMParser().parseFromString(html, "text/html"); // builds, and neither runs nor loads
  for (const element of page.querySelectorAll("style, script, link, img, picture, source, video, audio, iframe, object, embed, svg, form, input, button")) {
    if (element instanceof HTMLElement && element.tagName === "IMG" && /^data:image\/(png|jpeg);base64,/.test(element.getAttribute("src") ?? "")) continue;
    element.remove();
  }
  for (const element of page.querySelectorAll("*")) {
    for (const { name } of [...element.attributes]) {
      if (!["border", "class", "colspan", "rowspan", "scope", "src", "alt"].includes(name)) element.removeAttribute(name);
    }
  }
  return page.body.outerHTML;
}

/** @param {Record<string, any>} data @param {any} plain @param {Renderers} renderers */
function byNotebook(data, plain, { rendermime, attached }) {
  const slot = h("div", "rich");
  const fail = () => slot.replaceChildren(block(whole(plain ?? "")));
  try {
    const model = rendermime.createModel({ data, metadata: {}, trusted: false });
    const kind = rendermime.preferredMimeType(data, "ensure");
    if (!kind) return block(whole(plain ?? ""));
    const renderer = rendermime.createRenderer(kind);
    // Its own life cycle begins when it is attached to a place that is on the page.
    const attach = () => {
      try {
        renderer.constructor.attach(renderer, slot);
      } catch {
        slot.append(renderer.node);
      }
      Promise.resolve(renderer.renderModel(model)).catch(fail);
      attached.push(() => renderer.dispose());
    };
    requestAnimationFrame(() => (slot.isConnected ? attach() : requestAnimationFrame(attach)));
  } catch {
    fail();
  }
  return slot;
}
