import { h } from "./dom.js";
import { shown } from "./format.js";

const PIXELS = /^image\/(?:png|jpeg|gif|webp)$/;

/**
 * Images and documents of a message. Pixels that came with it are drawn; an address is named, never loaded.
 * @param {any[]} parts
 * @returns {HTMLElement[]}
 */
export function attachments(parts) {
  return parts.map((part) => {
    const { mediaType = "", data, url, name } = Object(part);
    if (PIXELS.test(mediaType) && typeof data === "string" && /^[A-Za-z0-9+/=\s]+$/.test(data)) {
      const image = h("img", "picture");
      image.alt = shown(String(name ?? "image"));
      image.src = `data:${mediaType};base64,${data}`;
      return image;
    }
    const size = typeof data === "string" ? Math.round((data.length * 3) / 4096) : 0;
    const words = [shown(String(name ?? (part?.type === "image" ? "image" : "document"))), shown(String(mediaType)), size ? `${size} KB` : "", url ? shown(String(url)) : ""];
    return h("span", "attachment", words.filter(Boolean).join(" · "));
  });
}
