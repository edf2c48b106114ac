// Board 1: what on-call opens first. Are scans arriving, and if not, which part is unwell?
import { allFlows, board, errorLogs, failedFlows, flows, runbook, slowFlows } from '../links.mjs';
import { OUTCOMES, above, below, line, section, series, stat, states, table, text } from '../panels.mjs';
import { canaryAge, count, kept, objectives, quantile, rate } from '../promql.mjs';

const { scan_delivery, scan_latency, handshake, signaling, restore } = objectives;

export default {
  uid: 'signalbox-on-call',
  title: 'On call: are scans arriving?',
  description: 'The top row answers the question, the coloured rows below it say which part is unwell and since when.',
  sections: [
    section(null,
      line(4,
        stat('Scans arriving, per second', 'ops', rate('signalbox_scan_flows_total{@, outcome="sent"}'), [
          'Scans handed to at least one monitor, each second, now.',
          'follows the working hours; a sudden fall to 0 while phones are connected is an outage.',
          'compare with the connected phones below; then open Scan flow.',
        ], { spark: true, links: [board('scan-flow'), allFlows] }),
        stat('Delivered', 'percentunit', `1 - ${scan_delivery.failed(count)} / ${scan_delivery.total(count)}`, [
          'Share of the scans in the time shown that were kept and handed on, or wait for their monitor. Refused scans are the client’s doing and not counted.',
          '100 %; below the objective of 99.5 % the error budget burns faster than it may.',
          'open the failed flows and read one of them; its error says what broke.',
        ], { decimals: 2, limits: below(0.995, 0.999), noValue: 'no scans', links: [failedFlows, board('objectives')] }),
        stat('Slowest 1 % took', 's', quantile(0.99, 'signalbox_scan_to_navigate_seconds', { overRange: true }), [
          '99 of 100 scans in the time shown went from the phone’s event to the monitor’s socket faster than this.',
          'below 50 ms; the objective is 250 ms.',
          'open Scan flow and see which stage grew.',
        ], { limits: above(0.1, 0.25), noValue: 'no scans', links: [board('scan-flow'), slowFlows] }),
        stat('Scans we lost', 'none', `round(${scan_delivery.failed(count)})`, [
          'Scans of the time shown that were lost through our fault: the relay failed, the database did not take them, or they were shed.',
          '0. Each one is an order that did not open, or that only those who were there have seen.',
          'see below which it was; open the failed flows, each has its hop, its error and its log lines.',
        ], { decimals: 0, limits: above(1), links: [failedFlows, errorLogs] }),
        stat('Canary succeeded, ago', 's', `max(${canaryAge})`, [
          'Age of the last scan that the synthetic phone and monitor inside the server relayed, on the worst node. It runs every 30 s, also at night.',
          'below 35 s.',
          'open the canary’s flows; a canary that fails while real scans arrive is a local socket problem.',
        ], { decimals: 0, limits: above(60, 120), links: [flows('event=scanOrder&outcome=failed', 'failed scans'), runbook('CanaryStale'), board('nodes')] }),
        stat('Alerts firing', 'short', 'count(ALERTS{alertstate="firing", severity=~"page|ticket|none"}) - count(ALERTS{alertstate="firing", alertname="Watchdog"})', [
          'Pages and tickets that fire now, without the Watchdog that always fires.',
          '0. No data means that the rules are not evaluated: nothing would page.',
          'read the table of alerts below and open the runbook of the first.',
        ], { decimals: 0, limits: above(1), noValue: 'no rules', links: [board('objectives'), board('telemetry')] })),
      line(9,
        states('Which part is unwell, and since when?', {
          'Scans are delivered': kept(scan_delivery),
          'Scans are fast': kept(scan_latency),
          'Scans are kept': `${rate('signalbox_scan_flows_total{@, outcome="storage_failed"}')} == bool 0`,
          'No scan is stuck': 'max(signalbox_scan_oldest_unacked_seconds{@}) < bool 30',
          'Clients can connect': kept(handshake),
          'Sessions are restored': kept(restore),
          'Signals are relayed': kept(signaling),
          'Canary gets through': `max((${canaryAge}) / (4 * (signalbox_canary_interval_seconds{@} > 0))) < bool 1`,
          'All nodes answer': 'min(up{@})',
          'Database answers': 'min(signalbox_store_up{@})',
          'Runtime has room': 'max(signalbox_runtime_busy_ratio{@}) < bool 0.9',
          'Logs and traces are whole': `${rate('signalbox_log_lines_dropped_total{@}')} + ${rate('signalbox_telemetry_dropped_total{@}')} == bool 0`,
        }, [
          'Each row is one promise, judged over the rate interval: green while it is kept, red while it is broken. Without traffic a promise is kept.',
          'all green.',
          'the topmost red row names the board: scans → Scan flow, scans that are not kept → Runtime and storage, clients and restores → Connections, signals → Signaling, queue, chat, nodes → Nodes, database and runtime → Runtime and storage, logs → Telemetry health.',
        ], { w: 16, links: [board('scan-flow'), board('connections'), board('signaling'), board('nodes'), board('runtime'), board('telemetry')] }),
        table('Alerts', 'short', `label_replace(max by (severity, alertname, component, instance) (ALERTS{alertstate="firing", severity=~"page|ticket"}),
          "runbook", "$1$2", "alertname", "(.+Burn).+|(.+)")`, [
          'Alerts that fire now. An alert without an instance is about the whole fleet.',
          'empty.',
          'click an alert’s name: its runbook says what it means and what to do first.',
        ], {
          w: 8, noValue: 'nothing fires', links: [board('objectives')],
          columns: {
            Value: { 'custom.hidden': true },
            runbook: { 'custom.hidden': true },
            alertname: { links: [runbook('${__data.fields.runbook}', 'Runbook: ${__data.fields.runbook}')] },
          },
        }))),
    section('Scans',
      line(8,
        series('Scans by outcome', 'ops', { '{{outcome}}': rate('signalbox_scan_flows_total{@}', 'outcome') }, [
          'All scans by how they ended. sent is good; queued waits for a monitor; duplicate was sent again by its phone; refused is the client’s doing; relay_failed, storage_failed and shed are ours.',
          'nearly all sent; queued follows monitors that are switched off, duplicate bad networks.',
          'queued, duplicate or refused rising: open Connections. Red rising: open the failed flows.',
        ], { stack: true, colors: OUTCOMES, links: [board('scan-flow'), failedFlows] }),
        series('Scans that failed', 'ops', { '{{outcome}}': rate('signalbox_scan_flows_total{@, outcome=~"relay_failed|storage_failed|shed"}', 'outcome') }, [
          'The failures alone, so that a few among thousands can be seen. relay_failed: the handler or a send failed; storage_failed: the database did not take it; shed: turned away because of overload.',
          '0, always.',
          'storage_failed: open its runbook. Others: open the failed flows of this time; then the errors in the log.',
        ], { draw: 'bars', colors: OUTCOMES, links: [failedFlows, errorLogs, runbook('ScansNotStored')] }),
        series('Scans sent, and a week ago', 'ops', {
          now: rate('signalbox_scan_flows_total{@, outcome="sent"}'),
          'a week ago': 'sum(rate(signalbox_scan_flows_total{@, outcome="sent"}[@] offset 1w))',
        }, [
          'Scans that reached a monitor, now and at the same time a week ago. In the first week there is no week ago.',
          'both lines alike; holidays differ.',
          'now at 0 and a week ago not: phones do not reach us. Look at the clients below, then at the network.',
        ], { colors: { now: 'green', 'a week ago': 'gray' }, links: [board('connections'), runbook('ScanTrafficVanished')] })),
      line(8,
        series('Phone to monitor', 's', {
          'half are faster than': quantile(0.5, 'signalbox_scan_to_navigate_seconds'),
          '99 % are faster than': quantile(0.99, 'signalbox_scan_to_navigate_seconds'),
        }, [
          'From the arrival of the scan to handing it to the monitor’s socket. What users feel. A gap means that there were no scans.',
          'the 99 % line below 50 ms; the dashed line is the objective of 250 ms.',
          'both lines up: the node is busy. Only the 99 % line up: one stage is slow at times; open Scan flow.',
        ], { limits: above(0.25), exemplar: true, links: [board('scan-flow'), slowFlows] }),
        series('Oldest scan without an answer', 's', { '{{instance}}': 'max by (instance) (signalbox_scan_oldest_unacked_seconds{@})' }, [
          'Age of the oldest scan that is being handled. A hang makes no errors and no latency: it shows only here.',
          'near 0; it pages above 30 s.',
          'one node only: open Nodes. All nodes: open Runtime and storage.',
        ], { limits: above(30), links: [board('nodes'), board('runtime'), runbook('ScansStuck')] }))),
    section('Who is there, and what fails',
      line(8,
        series('Clients connected', 'short', { '{{role}}': 'sum by (role) (signalbox_connections{@})' }, [
          'Connected clients by what they registered as.',
          'follows the working hours. A sudden fall of all roles is the network or us; of one role, its application.',
          'open Connections to see who hung up.',
        ], { w: 6, links: [board('connections')] }),
        series('Failures by event', 'ops', { '{{event}}': rate('signalbox_events_received_total{@, outcome="failed"}', 'event') }, [
          'Events of any kind that failed through our fault.',
          '0 for all of them. One event: its handler. All events: the node or what it depends on.',
          'open the failed flows; for events of signaling, the queue, seats and chat open Signaling, queue, chat.',
        ], { draw: 'bars', many: true, links: [failedFlows, errorLogs, board('signaling')] }),
        series('Canary by result', 'ops', { '{{result}}': rate('signalbox_canary_runs_total{@}', 'result') }, [
          'Runs of the synthetic phone and monitor by how they ended. Two runs a minute and node.',
          'ok only, at 0.033 a second and node.',
          'timeout: the node does not relay, open Scan flow. error or refused: it cannot connect, open Connections.',
        ], { w: 6, stack: true, colors: OUTCOMES, links: [board('scan-flow'), board('connections')] }))),
    section('What next',
      line(6, text('Where to look', `
- **Red bars in Scans that failed**: [the failed flows](${failedFlows.url}). Read the newest: the hop, the error id, the log lines.
- **storage_failed among them**: [Runtime and storage](${board('runtime').url}). Scans are relayed without being kept, or refused.
- **The 99 % line rises**: [Scan flow](${board('scan-flow').url}). See which stage grew, then open a slow flow.
- **The oldest scan grows and nothing else moves**: [Runtime and storage](${board('runtime').url}). A worker is blocked.
- **Clients fall**: [Connections](${board('connections').url}). The network, the client or us? Or are addresses blocked?
- **Chat or its assistant does not answer**: [Signaling, queue, chat](${board('signaling').url}). The rows Chat and The assistant in chat.
- **Somebody reads you a code such as K7-QX4M**: [the flow explorer](${allFlows.url}). Type it in.
- **All is green and users complain**: [Telemetry health](${board('telemetry').url}). Can these graphs be trusted?`))),
  ],
};
