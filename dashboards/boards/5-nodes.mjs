// Board 5: the nodes side by side, and whether one of them stands out.
import { allFlows, board, errorLogs, logs, runbook, slowFlows } from '../links.mjs';
import { above, bars, below, line, section, series, stat, states, table, words } from '../panels.mjs';
import { canaryAge, quantile, rate } from '../promql.mjs';

const startLogs = logs('target=~"signalbox::(start|drain)"', 'starts and stops');
const p99 = quantile(0.99, 'signalbox_scan_to_navigate_seconds', { by: 'instance' });
const share = (what) => `${what('instance')} / ignoring (instance) group_left () ${what()}`;
const scans = (by) => rate('signalbox_scan_flows_total{@}', by);
const connections = (by) => `sum${by ? ` by (${by})` : ''} (signaling_active_connections{@})`;

export default {
  uid: 'signalbox-nodes',
  title: 'Nodes: is one of them different?',
  description: 'A fault of one node shows as a line apart from the others. A fault of all nodes is somewhere else.',
  sections: [
    section(null,
      line(4,
        stat('Nodes up', 'short', 'sum(up{@})', [
          'Nodes that answer Prometheus.',
          'all of them.',
          'see below which one is missing, and open its last log lines.',
        ], { decimals: 0, limits: below(1), links: [runbook('AllNodesDown'), startLogs] }),
        stat('Nodes down', 'short', 'count(up{@}) - sum(up{@})', [
          'Nodes that Prometheus should reach and does not.',
          '0.',
          'see below since when; a node that restarts again and again shows orange marks.',
        ], { decimals: 0, limits: above(1), links: [runbook('NodeDown'), startLogs] }),
        stat('Versions', 'short', 'count(count by (version) (signalbox_build_info{@}))', [
          'Different versions that run now.',
          '1; 2 during a deploy.',
          '2 for longer than a deploy takes: it is stuck; see the table below.',
        ], { decimals: 0, limits: above(2, 3), links: [runbook('VersionSkew')] }),
        stat('Nodes draining', 'short', 'sum(signalbox_draining{@})', [
          'Nodes that are shutting down and send their clients elsewhere.',
          '0 outside of deploys.',
          'it ends by itself within DRAIN_PERIOD; if not, open the log.',
        ], { decimals: 0, limits: above(1, 2), links: [startLogs] }),
        stat('Youngest node started, ago', 's', 'min(time() - process_start_time_seconds{@})', [
          'Time since the last start of any node.',
          'hours to weeks. Always short: a node crashes and comes back.',
          'open the errors in the log just before the start.',
        ], { decimals: 0, limits: below(120, 600), links: [runbook('CrashLoop'), errorLogs] }),
        stat('Slowest node, of the median', 'short', `max(${p99}) / scalar(quantile(0.5, ${p99}))`, [
          'How many times slower the slowest node’s 99 % line is than that of the middle node.',
          'between 1 and 2. With one node it is 1.',
          'above 3: compare this node’s CPU, memory and connections below.',
        ], { decimals: 1, limits: above(3, 10), noValue: 'no scans', links: [board('runtime'), slowFlows] }))),
    section('Each node',
      line(7,
        states('Up', { '{{instance}}': 'max by (instance) (up{@})' }, [
          'Green while the node answers Prometheus.',
          'green.',
          'red on one node: its machine or process. Red on all: the network of Prometheus, or all of us.',
        ], { w: 8, mappings: words({ 0: 'down', 1: 'up' }, { 0: 'red', 1: 'green' }), links: [runbook('NodeDown')] }),
        states('Draining', { '{{instance}}': 'max by (instance) (signalbox_draining{@})' }, [
          'Yellow while the node sends its clients elsewhere.',
          'green outside of deploys.',
          'one node after the other is a deploy; all at once is an accident.',
        ], { w: 8, limits: above(1, 2), mappings: words({ 0: 'serving', 1: 'draining' }, { 0: 'green', 1: 'yellow' }), links: [startLogs] }),
        table('Version and uptime', 's', '(time() - process_start_time_seconds{@}) * on (job, instance) group_right () signalbox_build_info{@}', [
          'What each node runs, and for how long.',
          'one version.',
          'a node with an old version was left out of the deploy.',
        ], { w: 8, links: [runbook('VersionSkew')], columns: { job: { 'custom.hidden': true }, Value: { displayName: 'uptime', unit: 's' } } }))),
    section('Does one of them stand out?',
      line(8,
        series('Share of the scans', 'percentunit', { '{{instance}}': share(scans) }, [
          'Each node’s part of all scans.',
          'even, as the load balancer spreads sessions.',
          'a node at 0 while it is up: the load balancer avoids it; look at /readyz.',
        ], { stack: true, max: 1, links: [board('scan-flow')] }),
        series('Share of the connections', 'percentunit', { '{{instance}}': share(connections) }, [
          'Each node’s part of all connections.',
          'even, except for a while after a restart.',
          'uneven for long: clients stay where they are until they reconnect; drain the full node.',
        ], { stack: true, max: 1, links: [board('connections')] }),
        series('Slowest 1 %', 's', { '{{instance}}': p99 }, [
          '99 of 100 scans of the node reach their monitor’s socket faster than this.',
          'alike on all nodes, below the dashed line of 250 ms.',
          'one line apart: that node’s CPU and memory; all lines: open Scan flow.',
        ], { limits: above(0.25), exemplar: true, links: [board('scan-flow'), slowFlows] })),
      line(8,
        series('Failures', 'ops', { '{{instance}}': rate('signalbox_events_received_total{@, outcome="failed"}', 'instance') }, [
          'Events that failed through our fault, by node.',
          '0.',
          'one node only: send its clients elsewhere by stopping it, then read its log.',
        ], { draw: 'bars', links: [errorLogs, board('on-call')] }),
        series('CPU', 'short', { '{{instance}}': rate('process_cpu_seconds_total{@}', 'instance') }, [
          'Cores in use by each node.',
          'in proportion to its share of the scans.',
          'more than its share: open Runtime and storage for this node.',
        ], { decimals: 2, links: [board('runtime')] }),
        series('Memory', 'bytes', { '{{instance}}': 'sum by (instance) (process_resident_memory_bytes{@})' }, [
          'Memory in use by each node.',
          'in proportion to its connections, and level.',
          'climbing without more connections is a leak: open Runtime and storage.',
        ], { links: [board('runtime')] }))),
    section('Canary on each node',
      line(7,
        series('Last success, ago', 's', { '{{instance}}': `max by (instance) (${canaryAge})` }, [
          'Time since the node’s synthetic phone and monitor relayed a scan. It climbs to 30 s and falls back to 0.',
          'below 35 s; the dashed line is the alert.',
          'one node climbing: it does not relay, whatever the other graphs say; open its flows.',
        ], { limits: above(120), links: [runbook('CanaryStale'), allFlows] }),
        series('It took', 's', { '{{instance}}': 'max by (instance) (signalbox_canary_last_duration_seconds{@})' }, [
          'What the last good run took, from the canary’s scan to its monitor.',
          'a few milliseconds, alike on all nodes.',
          'slow on one node: its machine is busy; open Runtime and storage.',
        ], { links: [board('runtime')] }),
        bars('Of the last runs, not ok', 'short', { '{{instance}} {{result}}': 'sum by (instance, result) (increase(signalbox_canary_runs_total{@, result!="ok"}[$__range]))' }, [
          'Runs in the time shown that did not succeed, by node and result.',
          '0.',
          'timeout: the node does not relay. refused or error: it does not let its own canary in.',
        ], { decimals: 0, limits: above(1), links: [allFlows] }))),
  ],
};
