/**
 * An element with a class and children. Strings become text nodes: whatever a model wrote stays text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [cls] class names without their prefix, parted by spaces
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, cls, ...children) {
  const element = document.createElement(tag);
  if (cls) element.className = cls.replace(/\S+/g, "lgnb-$&");
  element.append(...children);
  return element;
}

/**
 * A button that submits nothing.
 * @param {string} cls @param {string | Node} label @param {() => void} onClick
 */
export function button(cls, label, onClick) {
  const element = h("button", `button ${cls}`, label);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

/**
 * Keys that are pressed in here are not the notebook's. It looks for the mark from the element with the focus upwards, and
 * Notebook 7 before any listener of ours hears of the key: there the mark has to be on that very element.
 * @param {HTMLElement} root
 */
export function keepShortcutsOut(root) {
  root.setAttribute(NO_SHORTCUTS, "true");
  root.addEventListener("focusin", (event) => /** @type {HTMLElement} */ (event.target).setAttribute(NO_SHORTCUTS, "true"));
}

const NO_SHORTCUTS = "data-lm-suppress-shortcuts";

/** A button that does nothing for now, and keeps the focus: a disabled one drops it to the page. @param {HTMLElement} element @param {boolean} off */
export function setOff(element, off) {
  if (off) element.setAttribute("aria-disabled", "true");
  else element.removeAttribute("aria-disabled");
}

/** @param {HTMLElement} element */
export const isOff = (element) => element.getAttribute("aria-disabled") === "true";

/** Paths of the few marks that stand on buttons, in a square of 16. @type {Record<string, string>} */
const ICONS = {
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3 14 14",
  fold: "M4 6.5 8 2.8l4 3.7M4 9.5l4 3.7 4-3.7",
  menu: "M8 2.5v7M4.8 6.6 8 9.8l3.2-3.2M2.8 12.8h10.4",
  stop: "M4.5 4.5h7v7h-7z",
  up: "M4 10l4-4 4 4",
  down: "M4 6l4 4 4-4",
  send: "M8 13V3.5M3.8 7.6 8 3.4l4.2 4.2",
};

/** @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "lgnb-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * A button that is a picture, with its name for who cannot see it, and for who waits over it.
 * @param {string} name of the picture @param {string} label @param {() => void} onClick
 */
export function iconButton(name, label, onClick) {
  const element = button("tool-button", icon(name), onClick);
  element.setAttribute("aria-label", label);
  element.title = label;
  return element;
}

/** Enter and Escape of a line, kept from the notebook. @param {HTMLElement} field @param {() => void} enter @param {() => void} escape */
export function onKeys(field, enter, escape) {
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Enter") enter();
    else if (event.key === "Escape") escape();
    else return;
    event.preventDefault();
  });
}

/**
 * Native folding.
 * @param {string} cls @param {Node | string} summary @param {...Node} inside
 */
export function fold(cls, summary, ...inside) {
  return h("details", `fold ${cls}`, h("summary", "", summary), ...inside);
}

/**
 * Text that is known only when somebody looks: built at the first opening.
 * @param {HTMLDetailsElement} details @param {() => Node[]} build
 */
export function whenOpened(details, build) {
  details.addEventListener("toggle", () => details.append(...build()), { once: true });
}

/**
 * Keep `box` scrolled to the end of its `content`, as long as the reader is there.
 * @param {HTMLElement} box @param {HTMLElement} content
 * @returns {{ pause: (paused: boolean) => void, end: () => void }} `end` leaves it alone
 */
export function stickToEnd(box, content) {
  let stick = true;
  let resting = false;
  let last = 0;
  const onScroll = () => {
    if (resting) return;
    const { scrollTop, clientHeight, scrollHeight } = box;
    if (scrollTop + clientHeight > scrollHeight - 24) stick = true;
    else if (scrollTop < last) stick = false; // only a reader goes back; content that grows does not
    last = scrollTop;
  };
  const follow = () => {
    if (stick && !resting) box.scrollTop = box.scrollHeight;
  };
  box.addEventListener("scroll", onScroll);
  const observer = new ResizeObserver(follow);
  observer.observe(content);
  return {
    pause(paused) {
      resting = paused;
      follow();
    },
    end() {
      observer.disconnect();
      box.removeEventListener("scroll", onScroll);
    },
  };
}

/** Text that only grows, in blocks of some KB, since a browser lays out again the whole block that changes. */
export class TextStream {
  /** @param {HTMLElement} host @param {number} [limit] characters kept; the oldest blocks go */
  constructor(host, limit = Infinity) {
    this.host = host;
    this.limit = limit;
    this.length = 0;
    /** @type {Text | null} */
    this.last = null;
  }

  /** @param {string} text */
  append(text) {
    this.length += text.length;
    while (text) {
      if (this.last && this.last.length > 4000 && text[0] === "\n") {
        text = text.slice(1); // the edge of a block is a line break, too
        this.block();
      }
      const last = this.last ?? this.block();
      let end = text.length;
      if (last.length + end > 4000) {
        const line = text.indexOf("\n", Math.max(1, 4000 - last.length));
        if (line > 0) end = line;
      }
      last.appendData(text.slice(0, end));
      text = text.slice(end);
      if (text && last.length <= 4000) break;
    }
    while (this.length > this.limit && this.host.childNodes.length > 1) {
      const oldest = /** @type {ChildNode} */ (this.host.firstChild);
      this.length -= oldest.textContent?.length ?? 0;
      oldest.remove();
    }
  }

  /** Back to the beginning of the last line: what comes is written over it. */
  returnToLine() {
    if (!this.last) return;
    const start = this.last.data.lastIndexOf("\n") + 1;
    this.length -= this.last.length - start;
    this.last.deleteData(start, this.last.length - start);
  }

  block() {
    this.last = document.createTextNode("");
    this.host.append(h("div", "", this.last));
    return this.last;
  }
}
