// Board 8: whether what the other boards show is complete and recent.
import { allFlows, board, errorLogs, logs, runbook } from '../links.mjs';
import { OUTCOMES, above, below, line, section, series, stat, states, words } from '../panels.mjs';
import { canaryAge, count, rate } from '../promql.mjs';

const telemetryLogs = logs('target=~"signalbox::telemetry.*"', 'telemetry');

export default {
  uid: 'signalbox-telemetry',
  title: 'Telemetry health: can I trust these graphs?',
  description: 'Metrics, logs, traces, reports, the flow recorder and the canary: is anything missing, late or cut off?',
  sections: [
    section(null,
      line(4,
        stat('Metrics are this old', 's', 'max(time() - timestamp(up{@}))', [
          'Age of the newest sample of the node that was scraped longest ago.',
          'below the scrape interval of 15 s.',
          'old: Prometheus does not scrape; look at its targets page.',
        ], { decimals: 0, limits: above(30, 60), links: [board('nodes')] }),
        stat('Rules are evaluated', 'short', 'count(ALERTS{alertname="Watchdog", alertstate="firing"})', [
          'The Watchdog fires for as long as Prometheus evaluates the alert rules.',
          'yes. No data: no alert can fire.',
          'look at the rules page of Prometheus for an error.',
        ], { noValue: 'no', mappings: words({ 1: 'yes' }), limits: below(1), links: [runbook('Watchdog')] }),
        stat('Log lines lost so far', 'none', `round(${count('signalbox_log_lines_dropped_total{@}')})`, [
          'Log lines of the time shown that were lost because the disk was slow, full or away.',
          '0. Above 0 the logs have holes.',
          'look at the disk of the log directory.',
        ], { decimals: 0, limits: above(1), links: [runbook('LogLinesDropped')] }),
        stat('Spans lost so far', 'none', `round(${count('signalbox_telemetry_dropped_total{@}')})`, [
          'Spans of the time shown that were lost because the queue was full or the collector refused them.',
          '0. Above 0 traces have holes; flows and metrics have not.',
          'look at the collector.',
        ], { decimals: 0, limits: above(1, 1000), links: [runbook('TelemetryExportFailing'), telemetryLogs] }),
        stat('Flows reach back', 's', 'min(signalbox_flow_recorder_reach_seconds{@, kept="notable"})', [
          'How far back failed and slow flows can be looked up, on the node that reaches least.',
          'hours. It begins at 0 with the start of a node.',
          'short under load: raise the recorder’s memory, or look sooner.',
        ], { decimals: 0, links: [allFlows] }),
        stat('Panics', 'none', `round(${count('signalbox_panics_total{@}')})`, [
          'Panics in the time shown, contained or not. Each is a bug.',
          '0.',
          'open the errors in the log: the line has the place in the code.',
        ], { decimals: 0, limits: above(1), links: [runbook('Panicked'), errorLogs] }))),
    section('Metrics',
      line(7,
        states('Scraped', { '{{instance}}': 'max by (instance) (up{@})' }, [
          'Green while Prometheus reaches the node.',
          'green.',
          'red: no graph of this node is true for this time.',
        ], { mappings: words({ 0: 'missing', 1: 'scraped' }, { 0: 'red', 1: 'green' }), links: [board('nodes')] }),
        series('A scrape takes', 's', { '{{instance}}': 'max by (instance) (scrape_duration_seconds{@})' }, [
          'How long Prometheus waits for the metrics of a node.',
          'below 100 ms; at the dashed line the scrape is given up.',
          'slow: the node is busy; open Runtime and storage.',
        ], { limits: above(5), links: [board('runtime')] }),
        series('Series of a node', 'short', { '{{instance}}': 'max by (instance) (scrape_samples_scraped{@})' }, [
          'Samples in one scrape of a node. Every series exists from the start, so this hardly moves.',
          'constant, and below the dashed line.',
          'growing: a label takes more values than it should, which is a bug.',
        ], { limits: above(1500), links: [board('nodes')] }))),
    section('Logs',
      line(8,
        series('Log lines by level', 'ops', { '{{level}}': rate('signalbox_log_lines_total{@}', 'level') }, [
          'Lines written, by level.',
          'INFO follows the traffic; ERROR 0; DEBUG and TRACE 0 unless somebody raised the level.',
          'ERROR: open the errors in the log.',
        ], { stack: true, colors: { ERROR: 'red', WARN: 'orange', INFO: 'green', DEBUG: 'blue', TRACE: 'purple' }, links: [errorLogs] }),
        series('Log lines lost', 'ops', { '{{instance}}': rate('signalbox_log_lines_dropped_total{@}', 'instance') }, [
          'Lines lost because the disk was slow, full or away. It delays nobody.',
          '0.',
          'look at the disk of the log directory of this node.',
        ], { draw: 'bars', links: [runbook('LogLinesDropped')] }),
        states('Log level raised', { '{{instance}}': 'max by (instance) (signalbox_log_level_raised{@})' }, [
          'Yellow while somebody changed the log level for a while. It reverts by itself.',
          'green.',
          'yellow explains more log lines, and a little more CPU.',
        ], { limits: above(1, 2), mappings: words({ 0: 'as set', 1: 'raised' }, { 0: 'green', 1: 'yellow' }), links: [logs('detected_level=~"debug|trace"', 'debug and trace')] }),
        series('Texts withheld', 'ops', { '{{instance}}': rate('signalbox_redactions_total{@}', 'instance') }, [
          'Texts kept out of logs and reports because they might carry a client’s data.',
          '0, or as many as there are panics.',
          'rising: a message carries data; find its place in the log by the time.',
        ], { links: [errorLogs] }))),
    section('Traces and reports',
      line(8,
        series('Exports of traces', 'ops', { '{{exporter}} {{result}}': rate('signalbox_telemetry_export_total{@}', 'exporter, result') }, [
          'Batches of spans sent to the collector, by result. All 0 when no collector is set.',
          'ok only.',
          'error: the collector is away or refuses; delivery is not affected.',
        ], { stack: true, colors: { 'otlp ok': 'green', 'otlp error': 'red' }, links: [runbook('TelemetryExportFailing'), telemetryLogs] }),
        series('Spans lost', 'ops', { '{{instance}}': rate('signalbox_telemetry_dropped_total{@}', 'instance') }, [
          'Spans that never reached the collector.',
          '0.',
          'with failing exports beside it: the collector. Without: more spans than it takes, lower TRACE_SAMPLE_RATIO.',
        ], { draw: 'bars', links: [runbook('TelemetryExportFailing')] }),
        series('Reports to Sentry, and panics', 'ops', {
          'reports': rate('signalbox_sentry_events_total{@}'), 'panics': rate('signalbox_panics_total{@}'),
        }, [
          'One report for each failure of ours; panics among them. Reports are 0 when no Sentry is set.',
          '0.',
          'open the errors in the log: their error id is in the report and in the flow.',
        ], { draw: 'bars', colors: { panics: 'red', reports: 'orange' }, links: [errorLogs] }))),
    section('Flows and the canary',
      line(8,
        series('Memory of the flow recorder', 'bytes', { '{{kept}}': 'sum by (kept) (signalbox_flow_recorder_bytes{@})' }, [
          'What the flow explorer keeps: notable is failed, slow and canary flows; scans are the other scans; others are all other events.',
          'grows to its limit and stays there.',
          'at the limit the oldest flows go; see how far back they reach beside it.',
        ], { stack: true, links: [allFlows] }),
        series('Flows go back', 's', { '{{kept}} on {{instance}}': 'min by (kept, instance) (signalbox_flow_recorder_reach_seconds{@})' }, [
          'Age of the oldest flow that is kept.',
          'notable: hours. scans and others: minutes under load.',
          'too short to look into last night: copy the flows you need while they are there.',
        ], { links: [allFlows] }),
        series('Canary by result', 'ops', { '{{result}}': rate('signalbox_canary_runs_total{@}', 'result') }, [
          'Runs of the synthetic phone and monitor. They are counted in no other graph.',
          'ok only, at 0.033 a second and node.',
          'all 0: the canary itself is off, and quiet nights prove nothing.',
        ], { stack: true, colors: OUTCOMES, links: [board('nodes'), runbook('CanaryStale')] }),
        series('Canary succeeded, ago', 's', { '{{instance}}': `max by (instance) (${canaryAge})` }, [
          'Time since the last success. It climbs to 30 s and falls back.',
          'below 35 s; the dashed line is the alert.',
          'climbing on one node: open Nodes.',
        ], { limits: above(120), links: [board('nodes'), runbook('CanaryStale')] }))),
  ],
};
