// Which fields the server's log lines have and which attributes its spans: read from its source, so that the lines
// and spans of rare failures are among them.
import fs from 'node:fs';
import path from 'node:path';

/** What stands between the parenthesis at `open` and the one that closes it. */
function inside(text, open) {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if ('([{'.includes(text[at])) depth += 1;
    else if (')]}'.includes(text[at])) depth -= 1;
    else if (text[at] === '"') at = endOfString(text, at);
    if (depth === 0) return text.slice(open + 1, at);
  }
  throw new Error(`unbalanced: ${text.slice(open, open + 60)}`);
}

function endOfString(text, at) {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end;
}

/** The arguments of a macro. */
function* split(text) {
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '"') at = endOfString(text, at);
    else if ('([{'.includes(text[at])) depth += 1;
    else if (')]}'.includes(text[at])) depth -= 1;
    else if (text[at] === ',' && depth === 0) {
      yield text.slice(start, at).trim();
      start = at + 1;
    }
  }
  yield text.slice(start).trim();
}

/** The names of the fields of one macro: `name = value`, `%name`, `name`; not `target: …` and not the message. */
const fields = (text) => [...split(text)].map((part) => /^[%?]?([a-z_][\w.]*)\s*(=[^=>]|$)/.exec(part)?.[1]).filter(Boolean);

/** `{ logs, spans }`: sets of names, of everything outside the unit tests. */
export function declared(src) {
  const found = { logs: new Set(), spans: new Set() };
  for (const file of fs.readdirSync(src, { recursive: true }).filter((name) => name.endsWith('.rs'))) {
    const [code] = fs.readFileSync(path.join(src, file), 'utf8').split('#[cfg(test)]');
    const text = code.replace(/^\s*\/\/.*$/gm, '');
    for (const macro of text.matchAll(/tracing::(?:error|warn|info|debug|trace)!(?=\()/g)) {
      fields(inside(text, macro.index + macro[0].length)).forEach((name) => found.logs.add(name));
    }
    for (const macro of text.matchAll(/\bspan!(?=\()/g)) {
      fields(inside(text, macro.index + macro[0].length)).forEach((name) => found.spans.add(name));
    }
    for (const [, name] of text.matchAll(/set_attribute\(\s*"([^"]+)"/g)) found.spans.add(name);
  }
  return found;
}
