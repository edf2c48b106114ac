// The objectives as one table, and the recording rules and burn alerts that follow from it.

/** What counts as bad and as all, and what that means to people. The budget is 1 minus the objective over 30 days. */
const SLOS = [
  {
    name: 'scan_delivery',
    alert: 'ScanDelivery',
    budget: 0.005,
    bad: 'signalbox_scan_flows_total{outcome=~"relay_failed|storage_failed|shed"}',
    total: 'signalbox_scan_flows_total{outcome=~"sent|queued|duplicate|relay_failed|storage_failed|shed"}',
    component: 'scan',
    failed: 'of scans were lost or not kept by us',
    impact: 'Orders do not open, or a monitor that was away never gets them: workers scan again or type the number in.',
    check: 'topk(3, sum by (instance, outcome) (rate(signalbox_scan_flows_total{outcome=~"relay_failed|storage_failed|shed"}[5m])))',
    board: 'signalbox-scan-flow',
    flows: 'outcome=failed&event=scanOrder',
  },
  {
    name: 'scan_latency',
    alert: 'ScanLatency',
    budget: 0.01,
    good: 'signalbox_scan_to_navigate_seconds_bucket{le="0.25"}',
    total: 'signalbox_scan_to_navigate_seconds_count',
    component: 'scan',
    failed: 'of scans took longer than 250 ms to reach the monitor',
    impact: 'Orders open late; workers scan a second time because nothing seems to happen.',
    check: 'sum by (stage) (rate(signalbox_scan_stage_seconds_sum{stage!="displayed"}[5m])) / sum by (stage) (rate(signalbox_scan_stage_seconds_count{stage!="displayed"}[5m]))',
    board: 'signalbox-scan-flow',
    flows: 'event=scanOrder&min_ms=250',
  },
  {
    name: 'handshake',
    alert: 'Handshake',
    budget: 0.001,
    bad: 'signalbox_handshakes_total{result="error"}',
    total: 'signalbox_handshakes_total{result=~"ok|error"}',
    component: 'connections',
    failed: 'of handshakes failed by our fault',
    impact: 'Phones, monitors and peers cannot connect or come back, though their tokens are good.',
    check: 'topk(3, sum by (instance) (rate(signalbox_handshakes_total{result="error"}[5m])))',
    board: 'signalbox-connections',
    flows: 'outcome=failed&event=connect',
  },
  {
    name: 'signaling',
    alert: 'Signaling',
    budget: 0.005,
    bad: 'signalbox_events_received_total{event=~"offer|answer|ice-candidate|message",outcome="failed"}',
    total: 'signalbox_events_received_total{event=~"offer|answer|ice-candidate|message",outcome=~"ok|failed"}',
    component: 'signaling',
    failed: 'of offers, answers, candidates and chat messages were lost by us',
    impact: 'Calls do not come about: peers wait for an offer or answer that never arrives. Or chat messages are not kept, and those who wrote them see an error.',
    check: 'topk(3, sum by (instance, event) (rate(signalbox_events_received_total{event=~"offer|answer|ice-candidate|message",outcome="failed"}[5m])))',
    board: 'signalbox-signaling',
    flows: 'outcome=failed',
  },
  {
    name: 'restore',
    alert: 'Restore',
    budget: 0.01,
    bad: 'signalbox_session_restores_total{result=~"gap|error"}',
    total: 'signalbox_session_restores_total{result=~"ok|gap|error"}',
    component: 'connections',
    failed: 'of restores were incomplete or failed',
    impact: 'People who lost their connection for a moment are back without their place in the line, their event or their rooms.',
    check: 'topk(3, sum by (instance, result) (rate(signalbox_session_restores_total{result=~"gap|error"}[5m])))',
    board: 'signalbox-connections',
    flows: 'event=restore',
  },
];

/** How fast the budget is spent, over which two windows, and after how many failures in the long one it is no accident. */
const BURNS = [
  { name: 'Fast', factor: 14.4, short: '5m', long: '1h', least: 5, for: '2m', severity: 'page', gone: '2 days' },
  { name: 'Steady', factor: 6, short: '30m', long: '6h', least: 5, for: '15m', severity: 'page', gone: '5 days' },
  { name: 'Slow', factor: 3, short: '2h', long: '1d', least: 10, for: '1h', severity: 'ticket', gone: '10 days' },
  { name: 'Creeping', factor: 1, short: '6h', long: '3d', least: 10, for: '3h', severity: 'ticket', gone: '30 days' },
];

const sum = (rate, selector, window) => `sum by (job) (${rate}(${selector}[${window}]))`;

/** The share of bad events; nothing at all while there are none. */
const ratio = ({ bad, good, total }, window) =>
  good
    ? `1 - ${sum('rate', good, window)}\n  / (${sum('rate', total, window)} > 0)`
    : `${sum('rate', bad, window)}\n  / (${sum('rate', total, window)} > 0)`;

const failures = ({ bad, good, total }, window) =>
  good
    ? `(\n  ${sum('increase', total, window)}\n  - ${sum('increase', good, window)}\n)`
    : sum('increase', bad, window);

const recorded = (slo, window) => `signalbox:sli_${slo.name}:ratio_rate${window}`;

const recording = (name, why, windows, interval) => ({
  name,
  why,
  interval,
  rules: SLOS.flatMap((slo) => windows.map((window) => ({ record: recorded(slo, window), expr: ratio(slo, window) }))),
});

const burn = (slo, { name, factor, short, long, least, for: hold, severity, gone }) => ({
  alert: `${slo.alert}Burn${name}`,
  runbook: `${slo.alert}Burn`,
  expr: [
    `${recorded(slo, short)} > ${factor} * ${slo.budget}`,
    `and ${recorded(slo, long)} > ${factor} * ${slo.budget}`,
    `and ${failures(slo, long)} >= ${least}`,
  ].join('\n'),
  for: hold,
  labels: { severity, component: slo.component, slo: slo.name },
  summary: `{{ $value | humanizePercentage }} ${slo.failed} in the last ${short}: the budget of 30 days lasts ${gone} at most.`,
  impact: slo.impact,
  check: slo.check,
  board: slo.board,
  flows: slo.flows,
});

export const groups = [
  recording(
    'signalbox-sli-short',
    `Error ratios, 0 to 1: bad events over all that we answer for, summed over the nodes before dividing, so that a busy
node weighs more. rate() comes first, so that a restart is no dip. Without events there is no ratio, not 0.`,
    ['5m', '30m', '1h', '2h'],
  ),
  recording(
    'signalbox-sli-long',
    `The same over long windows. They move slowly and read much, so once in 2 minutes; that is well within the 5 minutes
for which Prometheus takes a value as current.`,
    ['6h', '1d', '3d'],
    '2m',
  ),
  ...BURNS.map((tier) => ({
    name: `signalbox-burn-${tier.name.toLowerCase()}`,
    why: `${tier.factor} times the rate that uses up the budget in 30 days: gone in ${tier.gone}. The long window says that it matters,
the short one that it goes on, so it resolves soon after the cure. At least ${tier.least} failures in the long window: one
failure at night, when one in three is a third, wakes nobody, and all failing at night still does.`,
    rules: SLOS.map((slo) => burn(slo, tier)),
  })),
  {
    name: 'signalbox-slo-metrics',
    why: `A burn alert whose metric is gone or renamed is silent for ever. 10 minutes is longer than any restart.`,
    rules: SLOS.map((slo) => ({
      alert: 'SloMetricAbsent',
      expr: `absent(${(slo.bad ?? slo.good).replace('{', '{job="signalbox",')})`,
      for: '10m',
      labels: { severity: 'ticket', component: 'telemetry', slo: slo.name },
      summary: `No node exports what the objective ${slo.name} is measured with.`,
      impact: `The ${slo.alert}Burn alerts cannot fire: this objective is not watched.`,
      check: `count by (instance) (${slo.bad ?? slo.good})`,
      board: 'signalbox-telemetry',
      flows: slo.flows,
    })),
  },
];
