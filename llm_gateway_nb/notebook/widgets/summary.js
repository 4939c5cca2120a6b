import { shown, whole } from "./format.js";

/** @typedef {import("./nodes.js").NodeView} NodeView */
/** @typedef {import("./view.js").View} View */

/** How it is with a run, for the heading of its panel. @param {View} view @returns {import("./header.js").HeaderState} */
export function summary(view) {
  const { store, runs } = view;
  const run = runs.findLast((one) => one.props.status === "running") ?? runs.at(-1);
  const running = Boolean(run) && (run?.props.status ?? "running") === "running";
  const live = running && !store.dead && !store.over;
  const questions = live ? view.pending.size : 0;
  let status = run ? String(run.props.status ?? "running") : view.composer ? "ready" : "running";
  if (running && store.dead) status = "lost";
  else if (running && store.over) status = run?.kind === "turn" ? "final" : "ended";
  else if (questions) status = "waiting";
  const { startedAt, endedAt } = run?.props ?? {};
  let seconds = null;
  if (typeof startedAt === "number") {
    if (typeof endedAt === "number") seconds = endedAt - startedAt;
    else if (live) seconds = Math.max(0, Date.now() / 1000 + store.skew - startedAt);
  }
  /** @param {string} name */
  const sum = (name) => runs.reduce((total, one) => total + (Number(one.props[name]) || 0), 0);
  return {
    status,
    title: shown(view.title),
    model: run?.props.model ? shown(String(run.props.model)) : "",
    steps: run ? (run.props.iterations ?? run.turns) : 0,
    max: Number(run?.props.maxIterations) || 0,
    tokensIn: sum("inputTokens"),
    tokensOut: sum("outputTokens"),
    cost: runs.some((one) => typeof one.props.cost === "number") ? sum("cost") : null,
    seconds,
    questions,
    live,
    stopping: store.stopping,
    exportable: !store.dead,
  };
}

/** Is it what the run inside a call said last? @param {View} view @param {NodeView} tool @param {string} output */
export function saidBelow(view, tool, output) {
  const run = view.childrenOf(tool).findLast((child) => child.kind === "run");
  const last = run && lastText(view, run);
  return Boolean(last) && whole(view.store.nodes.get(/** @type {NodeView} */ (last).key)?.streams.get("text")).trim() === output.trim();
}

/** @param {View} view @param {NodeView} node @returns {NodeView | undefined} */
function lastText(view, node) {
  const last = view.childrenOf(node).findLast((child) => child.kind === "text" || child.kind === "turn");
  return last?.kind === "turn" ? lastText(view, last) : last;
}
