// Weakens and strengthens every number, time and window of the rules, one at a time; some promtool test must notice.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';

const alerts = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../alerts');
const read = (file) => parse(fs.readFileSync(path.join(alerts, file), 'utf8'));
const RULES = ['slo.rules.yml', 'signalbox.rules.yml'];
const SLI_WINDOWS = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'];
const WINDOWS = ['1m', '2m', '5m', '10m', '15m', '30m', '1h', '2h', '3h', '6h', '12h', '1d', '3d', '1w'];
const BUCKETS = ['0.1', '0.25', '0.5'];
/** Processes at a time, and how many tests each is given at once. */
const PARALLEL = 2;
const BATCH = 40;

const neighbours = (list, value) => [list[list.indexOf(value) - 1], list[list.indexOf(value) + 1]].filter(Boolean);

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const seconds = (time) => [...time.matchAll(/(\d+)([smhdw])/g)].reduce((sum, [, count, unit]) => sum + count * UNITS[unit], 0);

/** A quarter up and down; a whole number by at least one. */
function near(text) {
  const value = Number(text);
  if (!Number.isInteger(value)) return [value * 1.25, value / 1.25].map((v) => String(Number(v.toPrecision(6))));
  const step = Math.max(1, Math.round(Math.abs(value) / 4));
  return [value + step, value - step].map(String);
}

/** What in an expression can be mistaken, and for what. */
const PARTS = [
  { what: /(?<=ratio_rate)\d+[mhd]\b/g, others: (v) => neighbours(SLI_WINDOWS, v) },
  { what: /(?<=\[)\d+[mhdw](?=\])/g, others: (v, rule) => neighbours(rule.record ? SLI_WINDOWS : WINDOWS, v) },
  { what: /(?<=offset )\d+[mhdw]/g, others: (v) => neighbours(WINDOWS, v) },
  { what: /(?<=le=")[\d.]+(?=")/g, others: (v) => neighbours(BUCKETS, v) },
  // A number that stands alone. That of vector() is no threshold.
  { what: /(?<![\w."[:]|offset |vector\()\d+(\.\d+)?(?![\w."\]])/g, others: near },
];

function* mutants(rule) {
  for (const { what, others } of PARTS) {
    for (const match of rule.expr.matchAll(what)) {
      for (const other of others(match[0], rule)) {
        const expr = rule.expr.slice(0, match.index) + other + rule.expr.slice(match.index + match[0].length);
        yield { says: `${match[0]} → ${other} at ${match.index} of the expression`, rule: { ...rule, expr } };
      }
    }
  }
  if (rule.for) {
    for (const factor of [2, 0.5]) {
      const time = `${seconds(rule.for) * factor}s`;
      yield { says: `for: ${rule.for} → ${time}`, rule: { ...rule, for: time } };
    }
  }
}

const files = RULES.map((name) => ({ name, groups: read(name).groups }));
const tests = fs.readdirSync(path.join(alerts, 'tests')).filter((f) => f.endsWith('.test.yml')).map((f) => read(`tests/${f}`));

/** The rules of a file that `rule`, in the place of `original`, needs: itself, its namesakes, and what it reads. */
function needed(file, original, rule) {
  const name = rule.record ?? rule.alert;
  const wanted = (other) => (other.record ? other.record === name || `${rule.expr} `.includes(`${other.record} `) : other.alert === name);
  const groups = file.groups.map(({ name: group, rules }) => ({ name: group, rules: rules.filter(wanted).map((r) => (r === original ? rule : r)) }));
  return { groups: groups.filter((g) => g.rules.length) };
}

/** The tests that ask for the rule, one by one and with only those questions; the cheapest first. */
function concerned(file, rule) {
  const asks = rule.record ? new RegExp(`${rule.record}\\b`) : new RegExp(`alertname="${rule.alert}"`);
  const single = tests.filter((test) => test.rule_files.includes(`../${file.name}`)).flatMap((test) =>
    test.tests.map((group) => ({
      ...test,
      rule_files: ['rules.yml'],
      tests: [{ ...group, alert_rule_test: undefined, promql_expr_test: (group.promql_expr_test ?? []).filter((check) => asks.test(check.expr)) }],
    })));
  const steps = ({ evaluation_interval, tests: [{ promql_expr_test }] }) =>
    Math.max(...promql_expr_test.map((check) => seconds(check.eval_time))) / seconds(evaluation_interval);
  return single.filter((test) => test.tests[0].promql_expr_test.length).sort((a, b) => steps(a) - steps(b));
}

const work = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-mutations-'));
let made = 0;
/** Writes the rules and their tests into a directory of their own. */
function lay(file, original, rule) {
  const dir = path.join(work, String((made += 1)));
  const rules = needed(file, original, rule);
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(dir, 'rules.yml'), stringify(rules));
  return concerned(file, original).map((test, i) => {
    const at = path.join(dir, `${i}.test.yml`);
    const order = test.group_eval_order?.filter((name) => rules.groups.some((group) => group.name === name));
    fs.writeFileSync(at, stringify({ ...test, group_eval_order: order }));
    return at;
  });
}

/** Which of these test files pass. */
async function succeeding(tests) {
  const passed = new Set();
  const batches = [];
  for (let i = 0; i < tests.length; i += BATCH) batches.push(tests.slice(i, i + BATCH));
  const worker = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      const child = spawn('promtool', ['test', 'rules', ...batch], { stdio: ['ignore', 'pipe', 'ignore'] });
      let out = '';
      child.stdout.on('data', (data) => (out += data));
      await new Promise((resolve) => child.on('close', resolve));
      for (const [, file] of out.matchAll(/Unit Testing: +(\S+)\n +SUCCESS/g)) passed.add(file);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return passed;
}

const cases = files.flatMap((file) =>
  file.groups.flatMap(({ rules }) =>
    rules.flatMap((rule) => {
      const name = rule.record ?? rule.alert;
      return [
        { name, says: 'unchanged', tests: lay(file, rule, rule), unchanged: true },
        ...[...mutants(rule)].map((mutant) => ({ name, says: mutant.says, tests: lay(file, rule, mutant.rule) })),
      ];
    }),
  ),
);

// A rule that does not parse would fail every test and look noticed.
const rules = Array.from({ length: made }, (_, i) => path.join(work, String(i + 1), 'rules.yml'));
const check = spawnSync('promtool', ['check', 'rules', ...rules], { encoding: 'utf8' });
const problems = check.status === 0 ? [] : [`a mutation does not parse:\n${check.stderr}`];

// One test of each in every round; what was noticed needs no further one.
let passing = cases;
for (let round = 0; passing.some((one) => one.tests[round]); round += 1) {
  const passed = await succeeding(passing.map((one) => one.tests[round]).filter(Boolean));
  passing = passing.filter((one) => !one.tests[round] || passed.has(one.tests[round]));
}
for (const one of cases) {
  if (one.tests.length === 0) problems.push(`${one.name}: no test asks for it`);
  else if (one.unchanged && !passing.includes(one)) problems.push(`${one.name}: its tests fail without any mutation`);
  else if (!one.unchanged && passing.includes(one)) problems.push(`${one.name}: nobody notices ${one.says}`);
}
const mutations = cases.filter((one) => !one.unchanged);
fs.rmSync(work, { recursive: true, force: true });
const caught = mutations.filter((one) => !passing.includes(one)).length;
console.log(problems.map((problem) => `${problem}\n`).join('') + `mutations: ${caught} of ${mutations.length} caught`);
process.exitCode = problems.length ? 1 : 0;
