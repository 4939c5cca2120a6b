import { ErrorView, NodeView, RelayView, RunView, TextView } from "./nodes.js";
import { ReplView } from "./repl.js";
import { ToolView } from "./tool.js";

/** @type {Record<string, typeof NodeView>} */
const KINDS = {
  run: RunView,
  turn: RunView,
  user: TextView,
  text: TextView,
  reasoning: TextView,
  note: TextView,
  tool: ToolView,
  relay: RelayView,
  repl: ReplView,
  error: ErrorView,
};

/**
 * @param {number} key @param {string} kind @param {import("./format.js").Props} props @param {NodeView | null} parent
 * @param {import("./view.js").View} view @returns {NodeView}
 */
export function createNode(key, kind, props, parent, view) {
  const node = new (KINDS[kind] ?? NodeView)(key, kind, props, parent, view);
  node.update(props);
  return node;
}
