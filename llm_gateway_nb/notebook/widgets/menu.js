import { button, h, iconButton } from "./dom.js";

/** What can be taken away, and how it is called. @type {[string, string][]} */
const ITEMS = [
  ["copy", "Copy the answer"],
  ["html", "Save as HTML"],
  ["markdown", "Save as Markdown"],
  ["json", "Save as JSON"],
];

/** A menu under a button, for mouse and keyboard. */
export class Menu {
  /** @param {(what: string) => void} pick */
  constructor(pick) {
    this.opener = iconButton("menu", "Copy or save", () => this.toggle());
    this.opener.setAttribute("aria-haspopup", "menu");
    this.opener.setAttribute("aria-expanded", "false");
    this.items = ITEMS.map(([what, label]) => {
      const item = button("menu-item", label, () => {
        this.close();
        pick(what);
      });
      item.setAttribute("role", "menuitem");
      item.tabIndex = -1;
      item.dataset.what = what;
      return item;
    });
    this.list = h("span", "menu-list", ...this.items);
    this.list.setAttribute("role", "menu");
    this.list.setAttribute("aria-label", "Copy or save");
    this.list.hidden = true;
    this.element = h("span", "menu", this.opener, this.list);
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(/** @type {Node | null} */ (event.relatedTarget))) this.close(false);
    });
  }

  /** Files are made by the kernel: without one there is only what the page has itself. @param {boolean} possible */
  exportable(possible) {
    for (const item of this.items) if (item.dataset.what !== "copy") item.disabled = !possible;
  }

  toggle() {
    if (!this.list.hidden) return this.close();
    this.list.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    return this.items[0].focus({ preventScroll: true });
  }

  /** @param {boolean} [back] give the focus back to the button */
  close(back = true) {
    if (this.list.hidden) return;
    this.list.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    if (back) this.opener.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (this.list.hidden) return;
    const open = this.items.filter((item) => !item.disabled);
    const at = open.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (event.key === "Escape") this.close();
    else if (event.key === "ArrowDown") open[(at + 1) % open.length].focus();
    else if (event.key === "ArrowUp") open[(at - 1 + open.length) % open.length].focus();
    else return;
    event.stopPropagation();
    event.preventDefault();
  }
}

/** Give a file to the person. @param {string} name @param {string} kind @param {string} text */
export function save(name, kind, text) {
  const link = h("a", "");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
