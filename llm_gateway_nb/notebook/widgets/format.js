/** @typedef {{ [key: string]: any }} Props */

const INVISIBLE =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const TURNING = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_-])/g;

/** @param {string} character */
function named(character) {
  const code = /** @type {number} */ (character.codePointAt(0));
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "␡" : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/**
 * For arguments, commands and rules: nothing hides, nothing is turned round.
 * @param {string} text
 */
export function shown(text) {
  return text.replace(INVISIBLE, named);
}

/**
 * For prose: what real languages need may stay invisible.
 * @param {string} text
 */
export function prose(text) {
  return text.replace(/\r\n?/g, "\n").replace(TURNING, named);
}

/**
 * For output: without the colours of a terminal.
 * @param {string} text
 */
export function printed(text) {
  return shown(unprinted(text).replace(ESCAPES, ""));
}

/**
 * What overwriting lines leaves standing, colours kept.
 * @param {string} text
 */
export function unprinted(text) {
  if (!text.includes("\r")) return text;
  return text.replace(/\r+\n/g, "\n").replace(/^.*\r(?=.)/gm, "").replace(/\r/g, "");
}

/**
 * A value as text: a text as it is, the rest as JSON.
 * @param {any} value
 */
export function whole(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? printed(value) : shown(JSON.stringify(value, null, 2));
}

/** @param {any} value */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The arguments of a call on one short line, and whether that is all of them.
 * @param {any} input
 * @returns {{ line: string, complete: boolean }}
 */
export function oneLine(input) {
  if (input === undefined || input === null) return { line: "", complete: true };
  let text, complete;
  if (isRecord(input)) {
    const keys = Object.keys(input);
    if (keys.length === 0) return { line: "", complete: true };
    const main = typeof input.command === "string" ? input.command : keys.length === 1 ? input[keys[0]] : undefined;
    if (main !== undefined) text = typeof main === "string" ? main : JSON.stringify(main);
    else text = keys.map((key) => `${key}=${short(input[key])}`).join(", ");
    complete = keys.length === 1 && (typeof main !== "object" || main === null) && !/\n./.test(String(main));
  } else {
    text = whole(input);
    complete = true;
  }
  const lines = text.replace(/^\n+|\n+$/g, "").split("\n");
  const first = shown(lines[0]);
  const cut = first.length > 80 || lines.length > 1;
  return { line: cut ? `${first.slice(0, 80)}…` : first, complete: complete && !cut };
}

/** A value on one line: of a text of several, how many. @param {any} value */
function short(value) {
  const lines = typeof value === "string" ? value.replace(/\n+$/, "").split("\n").length : 1;
  return lines > 1 ? `(${lines} lines)` : JSON.stringify(value);
}

/**
 * A call as one would write it.
 * @param {any} name @param {Props} params
 */
export function call(name, params) {
  const inside = Object.entries(params).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return shown(`${name}(${inside.join(", ")})`);
}

/**
 * What "always" grants.
 * @param {any} rule
 */
export function ruleText(rule) {
  if (!isRecord(rule)) return whole(rule);
  const params = isRecord(rule.params) && Object.keys(rule.params).length ? rule.params : null;
  return params ? call(rule.tool, params) : `${shown(String(rule.tool))}, with any arguments`;
}

/** @param {string} text */
export function looksLikeDiff(text) {
  return /^@@ |^\*\*\* Begin Patch/m.test(text) && /^[+-]/m.test(text);
}

/** @param {number} n */
export function count(n) {
  if (n < 1000) return String(n);
  return n < 1e6 ? `${(n / 1000).toFixed(n < 1e4 ? 1 : 0)}k` : `${(n / 1e6).toFixed(1)}M`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 0.0995) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const total = Math.round(seconds);
  const rest = String(total % 60).padStart(2, "0");
  const minutes = Math.floor(total / 60);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** @param {number} usd */
export function money(usd) {
  if (usd === 0) return "$0";
  return `$${usd < 0.01 ? usd.toPrecision(2) : usd.toFixed(usd < 1 ? 3 : 2)}`;
}

/** State → [word, tone]; a tone is a colour and a mark. @type {Record<string, [string, string]>} */
export const RUN_WORDS = {
  ready: ["ready", "good"],
  running: ["running", "busy"],
  waiting: ["waiting for you", "ask"],
  final: ["done", "good"],
  max_iterations: ["stopped at its limit", "ask"],
  budget: ["stopped at its budget", "ask"],
  cancelled: ["cancelled", "quiet"],
  error: ["failed", "bad"],
  lost: ["kernel gone", "bad"],
  ended: ["broken off", "quiet"],
};

/** @type {Record<string, [string, string]>} */
export const TOOL_WORDS = {
  asking: ["waiting for you", "ask"],
  running: ["running", "busy"],
  ok: ["done", "good"],
  denied: ["denied", "bad"],
  error: ["failed", "bad"],
  cancelled: ["cancelled", "quiet"],
};

/** @type {Record<string, string>} */
const BY = { person: "you", timeout: "nobody in time", recorded: "the recording", rule: "a rule", policy: "policy" };

/**
 * How a relay was answered.
 * @param {Props} props @param {boolean} [forPerson] it asked the person, and not for permission
 */
export function answerText(props, forPerson = false) {
  const status = String(props.status);
  if (forPerson && status === "approved") return props.by === "person" ? "Answered by you" : "Answered";
  let words = status[0].toUpperCase() + status.slice(1);
  if (props.by && (status === "approved" || status === "denied")) words += ` by ${BY[props.by] ?? shown(String(props.by))}`;
  if (props.edited && status === "approved") words += ", with other arguments";
  if (props.always && status === "approved" && props.rule) words += `, and always ${ruleText(props.rule)}`;
  return props.reason ? `${words}: ${shown(String(props.reason))}` : words;
}
