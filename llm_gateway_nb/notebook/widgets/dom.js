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
 * @returns {() => void} leaves it alone
 */
export function stickToEnd(box, content) {
  let stick = true;
  let last = 0;
  const onScroll = () => {
    const { scrollTop, clientHeight, scrollHeight } = box;
    if (scrollTop + clientHeight > scrollHeight - 24) stick = true;
    else if (scrollTop < last) stick = false; // only a reader goes back; content that grows does not
    last = scrollTop;
  };
  box.addEventListener("scroll", onScroll);
  const observer = new ResizeObserver(() => {
    if (stick) box.scrollTop = box.scrollHeight;
  });
  observer.observe(content);
  return () => {
    observer.disconnect();
    box.removeEventListener("scroll", onScroll);
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

  block() {
    this.last = document.createTextNode("");
    this.host.append(h("div", "", this.last));
    return this.last;
  }
}
