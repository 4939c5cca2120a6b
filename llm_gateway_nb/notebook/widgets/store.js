/** @typedef {[string, number, ...any[]]} Op */
/** @typedef {{ key: number, parent: number | null, kind: string, props: import("./format.js").Props, streams: Map<string, string> }} Stored */

/** What one model knows. Views are pictures of it, and each takes the operations at its own pace. */
export class Store {
  constructor() {
    /** @type {Set<import("./view.js").View>} */
    this.views = new Set();
    this.seq = 0;
    this.dead = false;
    this.over = false;
    this.stopping = false;
    /** The kernel's clock minus ours, in seconds. */
    this.skew = 0;
    /** Relays that were answered on this page. @type {Set<string>} */
    this.answered = new Set();
    /** @type {Map<number, Stored>} */
    this.nodes = new Map();
  }

  /** @param {Op[]} ops */
  apply(ops) {
    for (const op of ops) {
      const [what, key] = op;
      if (what === "n") {
        this.nodes.set(key, { key, parent: op[2], kind: op[3], props: { ...op[4] }, streams: new Map() });
        continue;
      }
      const node = this.nodes.get(key);
      if (!node) continue;
      if (what === "+") node.streams.set(op[2], (node.streams.get(op[2]) ?? "") + op[3]);
      else if (what === "s") {
        Object.assign(node.props, op[2]);
        if (node.kind === "turn" && op[2].kind === "run") node.kind = "run";
      }
    }
    for (const view of this.views) view.take(ops);
  }

  /** The operations that make all this out of nothing. @returns {Op[]} */
  operations() {
    /** @type {Op[]} */
    const ops = [];
    for (const node of this.nodes.values()) {
      ops.push(["n", node.key, node.parent, node.kind, { ...node.props }]);
      for (const [stream, text] of node.streams) ops.push(["+", node.key, stream, text]);
    }
    return ops;
  }

  changed() {
    for (const view of this.views) view.refresh();
  }
}
