// Board 2: one scan from the phone to the monitor, hop by hop.
import { allFlows, board, failedFlows, refusedFlows, runbook, slowFlows, traces } from '../links.mjs';
import { OUTCOMES, above, bars, below, heatmap, line, section, series, stat } from '../panels.mjs';
import { count, objectives, quantile, rate } from '../promql.mjs';

const { scan_latency } = objectives;
const LATENCY = 'signalbox_scan_to_navigate_seconds';
const DISPLAYED = 'signalbox_scan_displayed_seconds';
const STAGE = 'signalbox_scan_stage_seconds';
// displayed is the monitor's.
const OURS = 'stage!="displayed"';
const PAINT = 'stage="displayed"';
const slowTraces = traces('name = "process scanOrder" && duration > 250ms', 'scans over 250 ms');
const STAGES = { queue: 'blue', guard: 'purple', decide: 'orange', persist: 'yellow', deliver: 'green' };

export default {
  uid: 'signalbox-scan-flow',
  title: 'Scan flow: which hop is slow?',
  description: 'queue: waiting for its turn. guard: limits and permissions. decide: its turn in its session, and whether the phone may. persist: writing it into the ledger. deliver: handing it to the monitors.',
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
          'a few milliseconds: it is written into the ledger first.',
          'when it rises, every scan is slower: open Runtime and storage.',
        ], { limits: above(0.025, 0.1), noValue: 'no scans', links: [board('runtime')] }),
        stat('99 % are faster than', 's', quantile(0.99, LATENCY, { overRange: true }), [
          'The slowest 1 % begin here, in the time shown.',
          'below 50 ms; the objective is 250 ms.',
          'find the stage that grew below, then open a slow flow.',
        ], { limits: above(0.1, 0.25), noValue: 'no scans', links: [slowFlows, slowTraces] }),
        stat('Within 250 ms', 'percentunit', `1 - ${scan_latency.failed(count)} / ${scan_latency.total(count)}`, [
          'Share of the scans in the time shown that reached the monitor’s socket within 250 ms.',
          'above 99.9 %; the objective is 99 %.',
          'open Objectives to see how much of the budget that cost.',
        ], { decimals: 2, limits: below(0.99, 0.999), noValue: 'no scans', links: [board('objectives'), slowFlows] }),
        stat('In flight', 'short', 'sum(signalbox_scans_in_flight{@})', [
          'Scans that are being handled at this moment.',
          'near 0; a scan is done in a few milliseconds.',
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
          'one dark band below 10 ms. A second band above it is a slow path that only some scans take.',
          'click a dot to open its trace; or open the flows over 250 ms.',
        ], { links: [slowTraces, slowFlows] }))),
    section('Which hop?',
      line(8,
        series('Slowest 1 % by stage', 's', { '{{stage}}': quantile(0.99, STAGE, { by: 'stage', where: OURS }) }, [
          '99 of 100 scans spent less than this in the stage.',
          'persist a few milliseconds, all others below 1 ms.',
          'queue: clients send faster than they are served. guard: limits or tokens. decide: other phones of the session, or a fault in us. persist: the database, open Runtime and storage. deliver: many or slow monitors. Then open a slow flow.',
        ], { colors: STAGES, links: [slowFlows, slowTraces, board('runtime')] }),
        series('Median by stage', 's', { '{{stage}}': quantile(0.5, STAGE, { by: 'stage', where: OURS }) }, [
          'Half of the scans spent less than this in the stage.',
          'persist a few milliseconds, all others below 0.1 ms.',
          'when the median of a stage grows, every scan is affected: compare with the time of a deploy, the blue mark.',
        ], { colors: STAGES, links: [board('runtime')] })),
      line(8,
        series('Where the time goes', 'percentunit', { '{{stage}}': `${rate(`${STAGE}_sum{@, ${OURS}}`, 'stage')} / ignoring (stage) group_left () ${rate(`${STAGE}_sum{@, ${OURS}}`)}` }, [
          'Each stage’s share of all the time spent on scans.',
          'a steady mix, in which persist leads.',
          'the stage whose share grows is the hop to look at, even when all are slow.',
        ], { stack: true, max: 1, colors: STAGES, links: [slowFlows] }),
        bars('Slowest 1 % by stage, in the time shown', 's', { '{{stage}}': quantile(0.99, STAGE, { by: 'stage', where: OURS, overRange: true }) }, [
          'The same as one number for each stage.',
          'green: below 50 ms.',
          'the longest bar is the hop; open a slow flow and compare it with its median.',
        ], { limits: above(0.05, 0.25), links: [slowFlows] }),
        series('Slowest 1 % by node', 's', { '{{instance}}': quantile(0.99, LATENCY, { by: 'instance' }) }, [
          '99 of 100 scans of the node are faster than this.',
          'all nodes alike; the dashed line is the objective of 250 ms.',
          'one node apart from the others: open Nodes.',
        ], { limits: above(0.25), exemplar: true, links: [board('nodes')] }))),
    section('On the screen?',
      line(8,
        series('Phone to screen', 's', {
          'half are faster than': quantile(0.5, DISPLAYED),
          '99 % are faster than': quantile(0.99, DISPLAYED),
        }, [
          'From the scan’s arrival to a monitor saying that the order is on its screen. Monitors that do not acknowledge are not in it. A gap means that none did.',
          'some tens of milliseconds more than phone to monitor: the network and the browser.',
          'compare with the relay’s part beside it. Both up: the server. This one alone: monitors or their network; open Connections.',
        ], { exemplar: true, links: [board('connections'), allFlows] }),
        series('Median: in the server, and on the screen', 's', {
          'in the server': quantile(0.5, LATENCY), 'until it is on the screen': quantile(0.5, DISPLAYED), 'of that, painting': quantile(0.5, STAGE, { where: PAINT }),
        }, [
          'The median to the monitor’s socket, the median to its screen, and what monitors that measure it say that they took from the packet to the paint. The rest is the network.',
          'the server’s line a few milliseconds, the others steady; painting some tens of milliseconds.',
          'the gap widens and painting with it: the monitors’ application, or their machines. Without it: their network.',
        ], { colors: { 'in the server': 'green', 'until it is on the screen': 'blue', 'of that, painting': 'purple' }, links: [board('connections')] }),
        series('Scans sent again to monitors', 'ops', { '{{instance}}': rate('signalbox_scans_replayed_total{@}', 'instance') }, [
          'Scans that monitors had missed, and were sent when they came back or came late.',
          '0, and short peaks when monitors are switched on or a node restarts.',
          'steady: monitors lose their connection again and again; open Connections.',
        ], { links: [board('connections'), board('runtime')] }))),
    section('What becomes of them?',
      line(8,
        series('Scans by outcome', 'ops', { '{{outcome}}': rate('signalbox_scan_flows_total{@}', 'outcome') }, [
          'All scans by how they ended. Only relay_failed, storage_failed and shed are ours.',
          'nearly all sent. queued: no monitor was there, the first one that joins gets it. duplicate: a phone sent again what is in the ledger already.',
          'refused rising: open the refused flows, the code says why. storage_failed: the database does not take them. Other red: open the failed flows.',
        ], { stack: true, colors: OUTCOMES, links: [failedFlows, refusedFlows, runbook('ScansNotStored')] }),
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
          '2 with one monitor in each session. Falling towards 1: monitors are missing, or phones send again what is known. Peaks: missed scans are sent again.',
          'falling: open Connections and compare phones with monitors.',
        ], { links: [board('connections')] }),
        series('Handling one scanOrder', 's', {
          'half': quantile(0.5, 'signalbox_event_handle_duration_seconds', { where: 'event="scanOrder"' }),
          '99 %': quantile(0.99, 'signalbox_event_handle_duration_seconds', { where: 'event="scanOrder"' }),
        }, [
          'From the scan’s turn to its answer to the phone, without the waiting before it.',
          'the 99 % line below 50 ms: it waits for the ledger.',
          'high here and low in the stages: answering is slow; open Runtime and storage.',
        ], { links: [board('runtime'), slowFlows] }))),
  ],
};
