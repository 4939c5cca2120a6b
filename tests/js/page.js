import { parseHTML } from "linkedom";

/** A page without a browser: enough of one for what the panel builds, with frames that are drawn when the test says so. */
export function openPage() {
  const { window } = parseHTML("<!doctype html><html><body></body></html>");
  /** @type {(() => void)[]} */
  let frames = [];
  class Observer {
    observe() {}
    disconnect() {}
  }
  Object.assign(globalThis, {
    window: Object.assign(window, { setTimeout, clearTimeout, setInterval: () => 1, clearInterval: () => {} }),
    document: window.document,
    HTMLElement: window.HTMLElement,
    HTMLDetailsElement: window.HTMLDetailsElement ?? class {},
    NodeFilter: window.NodeFilter,
    CSS: {},
    ResizeObserver: Observer,
    requestAnimationFrame: (/** @type {() => void} */ frame) => frames.push(frame),
    cancelAnimationFrame: () => {},
  });
  return {
    document: window.document,
    /** Draw until nothing is left to draw. */
    draw() {
      while (frames.length) {
        const now = frames;
        frames = [];
        for (const frame of now) frame();
      }
    },
  };
}
