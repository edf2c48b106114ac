// What the dashboards and rules ask, and what Prometheus answers over the whole run.
import fs from 'node:fs';
import path from 'node:path';

/** Every target of every panel of the boards in a directory: `{ board, panel, expr }`. */
export function panels(directory) {
  const boards = fs.readdirSync(directory).filter((name) => name.endsWith('.json'));
  return boards.flatMap((name) => {
    const board = JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8'));
    const inside = (list) => list.flatMap((panel) => [panel, ...inside(panel.panels ?? [])]);
    return inside(board.panels).flatMap((panel) => (panel.targets ?? []).map(({ expr }) => ({ board: board.uid, panel: panel.title, expr })));
  });
}

/** This Prometheus is minutes old: what was a week ago it is asked about now. */
const now = (expr) => expr.replace(/\s+offset\s+\d+[smhdwy]/g, '');

/** The expression as Grafana would send it, for all nodes; an unknown variable stays, and is an error of its own. */
export function interpolated(expr, seconds) {
  const values = { job: 'signalbox', instance: '.*', __rate_interval: '15s', __interval: '5s', __range: `${seconds}s` };
  return now(expr).replace(/\$\{?([a-z_]\w*)(?::\w+)?\}?/gi, (variable, name) => values[name] ?? variable);
}

/** The places of `pattern` (sticky) outside brackets and strings. */
function* outside(expr, pattern) {
  let depth = 0;
  for (let at = 0; at < expr.length; at += 1) {
    const char = expr[at];
    if (char === '"' || char === "'") {
      for (at += 1; expr[at] !== char; at += 1) if (expr[at] === '\\') at += 1;
    } else if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    else if (depth === 0) {
      pattern.lastIndex = at;
      const found = pattern.exec(expr);
      if (found) {
        yield { at, length: found[0].length };
        at += found[0].length - 1;
      }
    }
  }
}

function split(expr, pattern) {
  const pieces = [];
  let start = 0;
  for (const { at, length } of outside(expr, pattern)) {
    pieces.push(expr.slice(start, at));
    start = at + length;
  }
  return [...pieces, expr.slice(start)];
}

const MATCHING = String.raw`(\s*\b(on|ignoring|group_left|group_right)\b\s*(\([^()]*\))?)*`;
const SET = new RegExp(String.raw`\b(and|or|unless)\b${MATCHING}`, 'y');
const COMPARISON = new RegExp(String.raw`(==|!=|<=|>=|<|>)(\s*\bbool\b)?${MATCHING}`, 'y');

/**
 * The parts of an alert's expression without its comparisons: each must be there for the alert to mean anything.
 * Numbers are left out. Of `absent(x)` it is x.
 */
export function parts(expr) {
  const text = expr.trim();
  if (/^[\d\s.e+*/()-]+$/i.test(text)) return [];
  const whole = /^(absent|absent_over_time)?\s*\(/.exec(text);
  if (whole && [...outside(text, /\S/y)].every(({ at }) => at < whole[0].length)) return parts(text.slice(whole[0].length, -1));
  for (const operator of [SET, COMPARISON]) {
    const pieces = split(text, operator);
    if (pieces.length > 1) return pieces.flatMap(parts);
  }
  return [now(text)];
}

const COUNTS = [
  /\b\w*(dropped|rejected|limited|lost|overflow|panics|errors|queue_full|redactions)\w*_total\b/,
  /\bsignalbox_(blocked_addresses|blocks_total|strikes_total|gpt_retries_total|gpt_breaker_open)\b/,
  /\b(outcome|result|status)=~?"[^"]*(refused|failed|error|shed|timeout|token|limited|blocked|gap|conflict|[45]xx)/,
  /\b(outcome|result)!(=|~)"/,
  /disconnects_total\{[^}]*reason=/,
  /signalbox:sli_/,
];

/** How a fault must show in the answer to `expr`, as a test of all its values; nothing if it is not about faults. */
export function mark(expr) {
  if (/\bbool\b/.test(expr) || /^(min|max)( by \(instance\))? ?\((signalbox_store_)?up\{/.test(expr)) return (values) => values.includes(0);
  if (!COUNTS.some((pattern) => pattern.test(expr))) return undefined;
  if (/^1 -/.test(expr)) return (values) => values.some((value) => value < 1);
  return (values) => values.some((value) => value !== 0);
}

export class Prometheus {
  constructor(url) {
    this.url = url;
    this.start = Date.now() / 1000;
  }

  async ask(path_, parameters = {}) {
    const answer = await (await fetch(`${this.url}/api/v1/${path_}?${new URLSearchParams(parameters)}`)).json();
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${parameters.query ?? path_}`);
    return answer.data;
  }

  /** Every finite value of an expression, from the start until now. */
  async values(query) {
    const { result } = await this.ask('query_range', { query, start: this.start, end: Date.now() / 1000, step: '2s' });
    return result.flatMap((series) => series.values).map(([, value]) => Number(value)).filter(Number.isFinite);
  }

  /** How many evaluations of rules went wrong since it started. */
  async ruleFailures() {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const counts = [...text.matchAll(/^prometheus_rule_evaluation_failures_total\{.*\} (\S+)$/gm)];
    if (counts.length === 0) throw new Error('Prometheus does not tell whether its rules work');
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** The names of alerts that were `pending` or `firing` in the last so many seconds. */
  async alerts(state, seconds) {
    const { result } = await this.ask('query', { query: `count by (alertname) (last_over_time(ALERTS{alertstate="${state}"}[${Math.ceil(seconds)}s]))` });
    return result.map(({ metric }) => metric.alertname).sort();
  }
}
