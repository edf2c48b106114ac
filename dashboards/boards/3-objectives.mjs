// Board 3: how much of each objective's error budget is left, and how fast it burns.
import { board, failedFlows, flows, runbook, slowFlows } from '../links.mjs';
import { above, bars, below, gauge, line, section, series, stat, text } from '../panels.mjs';
import { allowed, objectives, recorded } from '../promql.mjs';

const overMonth = (selector) => `sum(increase(${selector}[30d]))`;
const percent = (ratio) => `${Number((ratio * 100).toFixed(4))} %`;
const WINDOWS = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'];
const BURNS = {
  scan_delivery: ['ScanDelivery', failedFlows, board('scan-flow')],
  scan_latency: ['ScanLatency', slowFlows, board('scan-flow')],
  handshake: ['Handshake', failedFlows, board('connections')],
  signaling: ['Signaling', failedFlows, board('signaling')],
  restore: ['Restore', flows('event=restore', 'restores'), board('connections')],
};
const each = (draw) => Object.entries(objectives).map(([slo, o]) => draw(slo, o, BURNS[slo]));

export default {
  uid: 'signalbox-objectives',
  title: 'Objectives and budget: how much may still fail?',
  description: 'Five objectives over 30 days. The budget is what may fail; the burn rate is how many times faster than allowed it is used.',
  from: 'now-24h',
  sections: [
    section('Error budget left, of 30 days',
      line(6, ...each((slo, o, [, ...links]) => gauge(`${o.title}: budget left`, 'percentunit', `1 - ${o.failed(overMonth)} / ${o.total(overMonth)} / ${allowed(o.objective)}`, [
        `What is left of the ${percent(allowed(o.objective))} of ${o.events} that may fail in 30 days.`,
        'above 50 %. Below 0 the objective is missed.',
        'below 25 %: put off risky deploys and see below what burns it.',
      ], { min: 0, max: 1, decimals: 1, limits: below(0.1, 0.5), links }))),
      line(3, ...each((slo, o, [, ...links]) => stat(`${o.title}: kept`, 'percentunit', `1 - ${o.failed(overMonth)} / ${o.total(overMonth)}`, [
        `Share of good ${o.events} in the last 30 days.`,
        `above the objective of ${percent(o.objective)}.`,
        'open the flows that were not good.',
      ], { decimals: 3, limits: below(o.objective), noValue: 'no traffic', links }))),
      line(3, ...each((slo, o, [, ...links]) => stat(`${o.title}: may still fail`, 'none', `floor(${allowed(o.objective)} * ${o.total(overMonth)} - ${o.failed(overMonth)})`, [
        `How many more ${o.events} may fail before the objective of 30 days is missed.`,
        '0 or more.',
        'a negative number is what went wrong beyond the budget.',
      ], { decimals: 0, limits: below(0), links })))),
    section('How fast does it burn?',
      ...[each((slo, o, [alert, ...links]) => series(`${o.title}: burn rate`, 'short', Object.fromEntries(WINDOWS.map((w) => [w, `max(${recorded(slo, w)}) / ${allowed(o.objective)}`])), [
        `Share of bad ${o.events} over each window, divided by the share that is allowed. At 1 the budget lasts exactly 30 days.`,
        'below 1. The dashed lines are the alerts: 14.4 pages within minutes, 6 pages within the hour, 3 and 1 make a ticket.',
        'the short windows say whether it is still going on, the long ones how much it cost.',
      ], { decimals: 1, softMax: 15, limits: [['green', null], ['yellow', 1], ['orange', 3], ['red', 6], ['dark-red', 14.4]].map(([color, value]) => ({ color, value })), links: [...links, runbook(`${alert}Burn`)] }))]
        .flatMap(([a, b, c, d, e]) => [line(8, a, b, c), line(8, d, e)]),
      line(8,
        bars('Burn rate of the last hour', 'short', Object.fromEntries(Object.entries(objectives).map(([slo, o]) => [o.title, `max(${recorded(slo, '1h')}) / ${allowed(o.objective)}`])), [
          'How many times faster than allowed each budget was used in the last hour.',
          'below 1.',
          'the longest bar names the objective; open its burn rate above.',
        ], { w: 10, decimals: 1, limits: above(1, 14.4), links: [board('on-call')] }),
        text('How to read this board', `
**Burn rate** 1 uses up exactly the budget of 30 days. 14.4 uses it up in two days, and 2 % of it in one hour.

- **BurnFast**: above 14.4 over 1 h and over 5 min. A page: act now.
- **BurnSteady**: above 6 over 6 h and over 30 min. A page: act within the hour.
- **BurnSlow**: above 3 over 1 d and over 2 h. A ticket.
- **BurnCreeping**: above 1 over 3 d and over 6 h. A ticket.

The long window makes an alert worth waking up for, the short one ends it soon after the fault has ended.
Refused requests are the client’s doing: they cost nothing. A scan that waits for a monitor is good, as is one that a phone sent again.
Whoever comes for the first time, or after too long, is not counted as a restore.`, { w: 14 }))),
  ],
};
