// Board 2: one scan from the phone to the monitor, hop by hop.
import { allFlows, board, failedFlows, refusedFlows, slowFlows, traces } from '../links.mjs';
import { OUTCOMES, above, bars, below, heatmap, line, section, series, stat } from '../panels.mjs';
import { count, objectives, quantile, rate } from '../promql.mjs';

const { scan_latency } = objectives;
const LATENCY = 'signalbox_scan_to_navigate_seconds';
const STAGE = 'signalbox_scan_stage_seconds';
const slowTraces = traces('name = "process scanOrder" && duration > 250ms', 'scans over 250 ms');
const STAGES = { queue: 'blue', guard: 'purple', decide: 'orange', deliver: 'green' };

export default {
  uid: 'signalbox-scan-flow',
  title: 'Scan flow: which hop is slow?',
  description: 'queue: waiting for its turn. guard: limits and permissions. decide: the scan’s place in its session. deliver: handing it to the monitors.',
  sections: [
    section(null,
      line(4,
        stat('Scans, per second', 'ops', rate('signalbox_scan_flows_total{@}'), [
          'All scans that arrive, whatever becomes of them.',
          'follows the working hours.',
          'none while phones are connected: open Connections.',
        ], { spark: true, links: [board('connections'), allFlows] }),
        stat('Half are faster than', 's', quantile(0.5, LATENCY, { overRange: true }), [
          'The median from the scan’s arrival to the monitor’s socket, in the time shown.',
          'below 1 ms.',
          'when it rises, every scan is slower: open Runtime and storage.',
        ], { limits: above(0.025, 0.1), noValue: 'no scans', links: [board('runtime')] }),
        stat('99 % are faster than', 's', quantile(0.99, LATENCY, { overRange: true }), [
          'The slowest 1 % begin here, in the time shown.',
          'below 10 ms; the objective is 250 ms.',
          'find the stage that grew below, then open a slow flow.',
        ], { limits: above(0.1, 0.25), noValue: 'no scans', links: [slowFlows, slowTraces] }),
        stat('Within 250 ms', 'percentunit', `1 - ${scan_latency.failed(count)} / ${scan_latency.total(count)}`, [
          'Share of the scans in the time shown that reached the monitor’s socket within 250 ms.',
          'above 99.9 %; the objective is 99 %.',
          'open Objectives to see how much of the budget that cost.',
        ], { decimals: 2, limits: below(0.99, 0.999), noValue: 'no scans', links: [board('objectives'), slowFlows] }),
        stat('In flight', 'short', 'sum(signalbox_scans_in_flight{@})', [
          'Scans that are being handled at this moment.',
          'near 0; a scan is done in well under a millisecond.',
          'when it stays up, look at the oldest scan: one of them hangs.',
        ], { decimals: 0, limits: above(50, 500), links: [board('runtime')] }),
        stat('Oldest without an answer', 's', 'max(signalbox_scan_oldest_unacked_seconds{@})', [
          'Age of the oldest scan that is being handled, on the worst node.',
          'near 0; above 30 s it pages.',
          'open Nodes to see whether it is one node.',
        ], { limits: above(5, 30), links: [board('nodes'), board('runtime')] })),
      line(10,
        heatmap('Phone to monitor: every scan', 's', `sum by (le) (increase(${LATENCY}_bucket{@}[@]))`, [
          'How many scans took how long, over time: the stronger the colour, the more. A dot is a single traced scan.',
          'one dark band below 5 ms. A second band above it is a slow path that only some scans take.',
          'click a dot to open its trace; or open the flows over 250 ms.',
        ], { links: [slowTraces, slowFlows] }))),
    section('Which hop?',
      line(8,
        series('Slowest 1 % by stage', 's', { '{{stage}}': quantile(0.99, STAGE, { by: 'stage' }) }, [
          '99 of 100 scans spent less than this in the stage.',
          'all stages below 1 ms.',
          'queue: clients send faster than they are served. guard: limits or tokens. decide: the session or a fault in us. deliver: many or slow monitors. Then open a slow flow.',
        ], { colors: STAGES, links: [slowFlows, slowTraces] }),
        series('Median by stage', 's', { '{{stage}}': quantile(0.5, STAGE, { by: 'stage' }) }, [
          'Half of the scans spent less than this in the stage.',
          'all stages below 0.1 ms.',
          'when the median of a stage grows, every scan is affected: compare with the time of a deploy, the blue mark.',
        ], { colors: STAGES, links: [board('runtime')] })),
      line(8,
        series('Where the time goes', 'percentunit', { '{{stage}}': `${rate(`${STAGE}_sum{@}`, 'stage')} / ignoring (stage) group_left () ${rate(`${STAGE}_sum{@}`)}` }, [
          'Each stage’s share of all the time spent on scans.',
          'a steady mix; which stage leads depends on the load.',
          'the stage whose share grows is the hop to look at, even when all are slow.',
        ], { stack: true, max: 1, colors: STAGES, links: [slowFlows] }),
        bars('Slowest 1 % by stage, in the time shown', 's', { '{{stage}}': quantile(0.99, STAGE, { by: 'stage', overRange: true }) }, [
          'The same as one number for each stage.',
          'green: below 25 ms.',
          'the longest bar is the hop; open a slow flow and compare it with its median.',
        ], { limits: above(0.025, 0.25), links: [slowFlows] }),
        series('Slowest 1 % by node', 's', { '{{instance}}': quantile(0.99, LATENCY, { by: 'instance' }) }, [
          '99 of 100 scans of the node are faster than this.',
          'all nodes alike; the dashed line is the objective of 250 ms.',
          'one node apart from the others: open Nodes.',
        ], { limits: above(0.25), exemplar: true, links: [board('nodes')] }))),
    section('What becomes of them?',
      line(8,
        series('Scans by outcome', 'ops', { '{{outcome}}': rate('signalbox_scan_flows_total{@}', 'outcome') }, [
          'All scans by how they ended. Only relay_failed and shed are ours.',
          'nearly all sent.',
          'refused rising: open the refused flows, the code says why. Red: open the failed flows.',
        ], { stack: true, colors: OUTCOMES, links: [failedFlows, refusedFlows] }),
        series('Scans in flight and inbox overflow', 'short', {
          'in flight': 'sum(signalbox_scans_in_flight{@})',
          'refused because an inbox was full': 'sum(increase(signalbox_inbox_overflow_total{@}[@]))',
        }, [
          'Scans being handled, and events refused because their socket had too many waiting.',
          'in flight near 0, overflow 0.',
          'overflow means one client sends in a loop or its handler is slow: open the refused flows.',
        ], { colors: { 'refused because an inbox was full': 'red' }, links: [refusedFlows, board('connections')] }),
        series('Oldest scan without an answer', 's', { '{{instance}}': 'max by (instance) (signalbox_scan_oldest_unacked_seconds{@})' }, [
          'Age of the oldest scan that is being handled.',
          'near 0. A line that climbs steadily is a scan that hangs; it pages at the dashed line.',
          'open Runtime and storage: is a worker blocked?',
        ], { limits: above(30), links: [board('runtime')] })),
      line(8,
        series('Monitors reached by a scan', 'short', {
          'monitors and echo for each scan': `${rate('signalbox_events_sent_total{@, event="navigate"}')} / ${rate('signalbox_events_received_total{@, event="scanOrder", outcome="ok"}')}`,
        }, [
          'Copies of navigate sent for each accepted scan; the phone itself gets one of them.',
          '2 with one monitor in each session. Falling towards 1: monitors are missing.',
          'falling: open Connections and compare phones with monitors.',
        ], { links: [board('connections')] }),
        series('Handling one scanOrder', 's', {
          'half': quantile(0.5, 'signalbox_event_handle_duration_seconds', { where: 'event="scanOrder"' }),
          '99 %': quantile(0.99, 'signalbox_event_handle_duration_seconds', { where: 'event="scanOrder"' }),
        }, [
          'From the scan’s turn to its answer to the phone, without the waiting before it.',
          'the 99 % line below 1 ms.',
          'high here and low in the stages: answering is slow; open Runtime and storage.',
        ], { links: [board('runtime'), slowFlows] }))),
  ],
};
