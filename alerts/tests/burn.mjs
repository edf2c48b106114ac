// Writes the promtool tests of the burn alerts, burn-*.test.yml:  node alerts/tests/burn.mjs
// What is expected is written down here in plain numbers and shares nothing with what the rules are made of.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Bad events in 10,000 from which an alert is due. */
const LIMITS = {
  ScanDeliveryBurnFast: 720, ScanDeliveryBurnSteady: 300, ScanDeliveryBurnSlow: 150, ScanDeliveryBurnCreeping: 50,
  ScanLatencyBurnFast: 1440, ScanLatencyBurnSteady: 600, ScanLatencyBurnSlow: 300, ScanLatencyBurnCreeping: 100,
  HandshakeBurnFast: 144, HandshakeBurnSteady: 60, HandshakeBurnSlow: 30, HandshakeBurnCreeping: 10,
  SignalingBurnFast: 720, SignalingBurnSteady: 300, SignalingBurnSlow: 150, SignalingBurnCreeping: 50,
  RestoreBurnFast: 1440, RestoreBurnSteady: 600, RestoreBurnSlow: 300, RestoreBurnCreeping: 100,
};

/**
 * Times are in steps of the input. `pending` and `firing` are just before and after the alert's `for`; `short` and
 * `long` are its windows. One failure every `sparse` steps is one too few in the long window, every `enough` steps just
 * enough.
 */
const TIERS = {
  Fast: { severity: 'page', step: 1, pending: 2, firing: 4, short: 5, long: 60, sparse: 15, enough: 12, failures: 5 },
  Steady: { severity: 'page', step: 5, pending: 3, firing: 5, short: 6, long: 72, sparse: 18, enough: 15, failures: 5 },
  Slow: { severity: 'ticket', step: 20, pending: 3, firing: 5, short: 6, long: 72, sparse: 8, enough: 7, failures: 10 },
  Creeping: { severity: 'ticket', step: 60, pending: 3, firing: 5, short: 6, long: 72, sparse: 8, enough: 7, failures: 10 },
};

/** The series of an objective that count good events, bad ones and all. */
const SERIES = {
  ScanDelivery: (good, bad) => [
    ['signalbox_scan_flows_total{job="signalbox",instance="a",outcome="sent"}', good],
    ['signalbox_scan_flows_total{job="signalbox",instance="a",outcome="relay_failed"}', bad],
  ],
  ScanLatency: (good, bad, all) => [
    ['signalbox_scan_to_navigate_seconds_bucket{job="signalbox",instance="a",le="0.25"}', good],
    ['signalbox_scan_to_navigate_seconds_count{job="signalbox",instance="a"}', all],
  ],
  Handshake: (good, bad) => [
    ['signalbox_handshakes_total{job="signalbox",instance="a",result="ok"}', good],
    ['signalbox_handshakes_total{job="signalbox",instance="a",result="error"}', bad],
  ],
  Signaling: (good, bad) => [
    ['signalbox_events_received_total{job="signalbox",instance="a",event="offer",outcome="ok"}', good],
    ['signalbox_events_received_total{job="signalbox",instance="a",event="offer",outcome="failed"}', bad],
  ],
  Restore: (good, bad) => [
    ['signalbox_session_restores_total{job="signalbox",instance="a",result="ok"}', good],
    ['signalbox_session_restores_total{job="signalbox",instance="a",result="gap"}', bad],
  ],
};

/** A counter that gains so much a step for so many steps; each phase begins with a restart of the node. */
const counter = (phases) => phases.map(([gain, steps], i) => `${i ? gain : 0}+${gain}x${i ? steps - 1 : steps}`).join(' ');
/** A counter that gains so much every so many steps, so many times. */
const drip = (gain, every, times) => Array.from({ length: times + 1 }, (_, i) => `${i * gain}x${every - 1}`).join(' ');

/** One story that all objectives live through: their series, and in which state their alerts are at a step. */
function group(name, tier, says, series, checks) {
  const lines = [`  - name: Burn${name} ${says}`, `    interval: ${tier.step}m`, '    input_series:'];
  for (const [metric, values] of Object.keys(SERIES).flatMap(series)) {
    lines.push(`      - series: '${metric}'`, `        values: '${values}'`);
  }
  lines.push('    promql_expr_test:');
  for (const [step, state] of checks) {
    const seen = state ? `[{ labels: '{alertstate="${state}",severity="${tier.severity}"}', value: 1 }]` : '[]';
    for (const slo of Object.keys(SERIES)) {
      lines.push(
        `      - expr: count by (alertstate, severity) (ALERTS{alertname="${slo}Burn${name}"})`,
        `        eval_time: ${step * tier.step}m`,
        `        exp_samples: ${seen}`,
      );
    }
  }
  return lines.join('\n');
}

function groups(name, tier) {
  const { pending, firing, short, long, sparse, enough, failures: least } = tier;
  /** Phases of a share of the limit, with 10,000 events a step. */
  const load = (phases) => (slo) => {
    const bad = phases.map(([share, steps]) => [Math.round(LIMITS[`${slo}Burn${name}`] * share * 10) / 10, steps]);
    const good = bad.map(([gain, steps]) => [10_000 - gain, steps]);
    return SERIES[slo](counter(good), counter(bad), counter(bad.map(([, steps]) => [10_000, steps])));
  };
  /** Nothing but one good event and one failure now and then. */
  const failures = (every) => (slo) => SERIES[slo](...[1, 1, 2].map((gain) => drip(gain, every, least + 1)));
  const after = (share) => short + Math.ceil(short * share);
  const quiet = long * 1.5;
  const burst = (share) => quiet + Math.round((long / 6) * share);
  return [
    group(name, tier, 'fires a little over the limit, after its time', load([[1.08, firing + 1]]), [
      [pending, 'pending'],
      [firing, 'firing'],
    ]),
    group(name, tier, 'resolves when the short window is just below, the long one far above', load([[4, short], [0.92, 2 * short]]), [
      [after(0.6), 'firing'],
      [after(1.15), null],
    ]),
    group(name, tier, 'does not fire for a burst that leaves the long window just below, but for a longer one', load([[0, quiet], [6, long]]), [
      [burst(0.92), null],
      [burst(1.1) + pending, 'firing'],
    ]),
    group(name, tier, `does not fire for ${least - 1} failures in the long window, though half of all fails`, failures(sparse), [
      [sparse * least, null],
      [sparse * (least + 1), null],
    ]),
    group(name, tier, `fires for ${least} failures in the long window`, failures(enough), [
      [enough * least + pending - 1, 'pending'],
      [enough * least + firing - 1, 'firing'],
    ]),
  ];
}

const ORDER = ['signalbox-sli-short', 'signalbox-sli-long', 'signalbox-burn-fast', 'signalbox-burn-steady', 'signalbox-burn-slow', 'signalbox-burn-creeping'];

/** The files by name. */
export const files = Object.fromEntries(
  Object.entries(TIERS).map(([name, tier]) => {
    const head = `# Made by alerts/tests/burn.mjs; change it there.
rule_files: [../slo.rules.yml]
evaluation_interval: ${tier.step}m
group_eval_order: [${ORDER.join(', ')}]
tests:`;
    return [`burn-${name.toLowerCase()}.test.yml`, `${head}\n${groups(name, tier).join('\n\n')}\n`];
  }),
);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(new URL(name, import.meta.url), text);
}
