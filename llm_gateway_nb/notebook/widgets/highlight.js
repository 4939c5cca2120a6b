import { h } from "./dom.js";
import { shown } from "./format.js";

/** @typedef {(Node | string)[]} Painted */

const PYTHON_WORDS =
  "False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|match|nonlocal|not|or|pass|raise|return|try|while|with|yield";
const SCRIPT_WORDS =
  "async|await|break|case|catch|class|const|continue|default|do|else|export|extends|false|finally|for|from|function|if|import|in|let|new|null|of|return|switch|this|throw|true|try|typeof|undefined|var|void|while|yield";
const SHELL_WORDS = "case|do|done|elif|else|esac|exit|export|fi|for|function|if|in|local|return|then|while";
const STRINGS = String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?`;
const LONG_STRINGS = String.raw`[rbfu]{0,2}(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|${STRINGS})`;
const NUMBERS = String.raw`\b\d[\w.]*`;

/** Groups: comment, string, number, keyword. @param {string} comment @param {string} string @param {string} words */
function grammar(comment, string, words) {
  return new RegExp(`(${comment})|(${string})|(${NUMBERS})|\\b(${words})\\b`, "g");
}

const PYTHON = grammar("#.*", LONG_STRINGS, PYTHON_WORDS);
const SCRIPT = grammar("//.*|/\\*[^]*?(?:\\*/|$)", `${STRINGS}|\`[^]*?(?:\`|$)`, SCRIPT_WORDS);
const SHELL = grammar("(?<![^\\s;])#.*", STRINGS, SHELL_WORDS);
const JSON_TEXT = grammar("(?!)", STRINGS, "true|false|null");

/** @type {Record<string, RegExp>} */
const GRAMMARS = {
  python: PYTHON,
  py: PYTHON,
  ipython: PYTHON,
  python3: PYTHON,
  javascript: SCRIPT,
  js: SCRIPT,
  typescript: SCRIPT,
  ts: SCRIPT,
  bash: SHELL,
  sh: SHELL,
  shell: SHELL,
  console: SHELL,
  json: JSON_TEXT,
};
const TONES = ["comment", "string", "number", "keyword"];

/**
 * Code in colour, if its language is known.
 * @param {string} language
 * @returns {((text: string) => Painted) | undefined}
 */
export function highlighter(language) {
  const pattern = GRAMMARS[language.toLowerCase()];
  return pattern && ((text) => paint(text, pattern));
}

/** @param {string} text @param {RegExp} pattern @returns {Painted} */
function paint(text, pattern) {
  /** @type {Painted} */
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    if (!match[0]) continue;
    const tone = TONES[match.slice(1).findIndex((group) => group !== undefined)];
    parts.push(text.slice(from, match.index), h("span", tone, match[0]));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}

/** @param {string} text */
export const python = (text) => paint(text, PYTHON);

/** A diff, or a patch in the envelope that models write. @param {string} text @returns {Painted} */
export function diff(text) {
  return text.split("\n").flatMap((line, index) => {
    const tone = { "+": "plus", "-": "minus", "@": "hunk", "*": "hunk" }[line[0]];
    return [index ? "\n" : "", tone ? h("span", tone, line) : line];
  });
}

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** What a terminal prints, with its colours; every other escape sequence is gone. @param {string} text @returns {Painted} */
export function ansi(text) {
  /** @type {Painted} */
  const parts = [];
  let colour = "";
  let bold = false;
  // Colours in the odd places, text in the even ones.
  text.split(/\x1b\[([\d;]*)m/).forEach((part, index) => {
    if (index % 2 === 0) {
      const plain = shown(part.replace(ESCAPE, ""));
      const cls = [colour && `ansi-${colour}`, bold && "ansi-bold"].filter(Boolean).join(" ");
      if (plain) parts.push(cls ? h("span", cls, plain) : plain);
      return;
    }
    const codes = part.split(";").map(Number);
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at];
      if (code === 0) [colour, bold] = ["", false];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) colour = "";
      else if (code >= 30 && code <= 37) colour = COLOURS[code - 30];
      else if (code >= 90 && code <= 97) colour = COLOURS[code - 90];
      else if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4; // 256 colours and more: as it is
    }
  });
  return parts;
}

const ESCAPE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_-])/g;
