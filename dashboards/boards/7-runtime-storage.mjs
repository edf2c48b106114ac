// Board 7: what the process uses and waits for: processor, memory, files, worker threads, the database, HTTP.
import { board, errorLogs, logs, runbook } from '../links.mjs';
import { OUTCOMES, above, below, line, section, series, stat, states, words } from '../panels.mjs';
import { quantile, rate } from '../promql.mjs';

const STORE = 'signalbox_store_operation_seconds';
const OPERATIONS = 'signalbox_store_operations_total';
const BATCH = 'signalbox_scan_log_batch_size';
const HTTP = 'signalbox_http_request_duration_seconds';
const REQUESTS = 'signalbox_http_requests_total';
const storeLogs = logs('target=~"signalbox::store.*"', 'the store');

export default {
  uid: 'signalbox-runtime',
  title: 'Runtime and storage: what is it waiting for?',
  description: 'Busy workers: the processor. Blocked workers: something that should not wait does. Slow operations: the database.',
  sections: [
    section(null,
      line(4,
        stat('Busiest node', 'percentunit', 'max(signalbox_runtime_busy_ratio{@})', [
          'Share of the time that the worker threads of the busiest node were at work.',
          'below 70 %; near 100 % the node is at its end.',
          'add a node, or find the event that costs it below.',
        ], { spark: true, min: 0, max: 1, limits: above(0.7, 0.9), links: [board('nodes')] }),
        stat('Blocked', 'ops', rate('signalbox_runtime_blocked_total{@}'), [
          'Times each second that the runtime was late by over 50 ms: something held a worker thread.',
          '0; a few on a busy machine. 20 in 10 minutes, 0.033 a second, make a ticket.',
          'compare with CPU: a full machine, or a handler that blocks.',
        ], { spark: true, decimals: 3, limits: above(0.01, 0.033), links: [runbook('RuntimeBlocked')] }),
        stat('Memory, fullest node', 'bytes', 'max(process_resident_memory_bytes{@})', [
          'Memory of the node that uses most.',
          'some 30 MB, and up to 20 KB for each connection.',
          'growing without connections: a leak; see below.',
        ], { spark: true, links: [runbook('MemoryGrowth'), board('nodes')] }),
        stat('Files open, of the limit', 'percentunit', 'max(process_open_fds{@} / process_max_fds{@})', [
          'Open files and sockets of the fullest node, as a share of what the system allows.',
          'below 70 %. At 100 % nobody can connect.',
          'raise the limit (ulimit -n) or add a node.',
        ], { decimals: 1, min: 0, max: 1, limits: above(0.7, 0.8), links: [runbook('FdNearLimit')] }),
        stat('Database', 'short', 'min(signalbox_store_up{@})', [
          'Whether the database of every node answers. Without it accounts and chat do not work and scans are not kept; signaling goes on.',
          'answers.',
          'away: look at the database itself; changes of rooms wait in memory meanwhile.',
        ], { mappings: words({ 0: 'away', 1: 'answers' }), limits: below(1), links: [runbook('StoreDown'), runbook('ScansNotStored'), storeLogs] }),
        stat('Changes waiting', 'short', 'sum(signalbox_store_changes_waiting{@})', [
          'Changes of rooms that are not written yet.',
          'below 100; they are written several times a second.',
          'growing: the database is away or too slow. At 100,000 changes are lost.',
        ], { spark: true, decimals: 0, limits: above(1000, 50000), links: [storeLogs, runbook('RoomChangesLost')] }))),
    section('The process',
      line(8,
        series('CPU', 'short', { '{{instance}}': rate('process_cpu_seconds_total{@}', 'instance') }, [
          'Processor cores in use.',
          'level with the traffic.',
          'high without traffic: a loop; take a profile.',
        ], { decimals: 2, links: [board('nodes')] }),
        series('Memory', 'bytes', {
          '{{instance}} resident': 'sum by (instance) (process_resident_memory_bytes{@})',
          '{{instance}} virtual': 'sum by (instance) (process_virtual_memory_bytes{@})',
        }, [
          'resident: what is really used. virtual: what was asked for.',
          'resident level with the connections.',
          'resident climbing for hours: a leak; compare with the connections and restart the node in time.',
        ], { links: [runbook('MemoryGrowth'), board('connections')] }),
        series('Files and threads', 'short', {
          '{{instance}} files': 'sum by (instance) (process_open_fds{@})',
          '{{instance}} threads': 'sum by (instance) (process_threads{@})',
        }, [
          'Open files and sockets, and threads.',
          'one file for each connection and a few more; threads constant.',
          'files without connections: sockets that are not closed. Threads growing: blocking work piles up.',
        ], { links: [runbook('FdNearLimit'), board('connections')] })),
      line(8,
        series('Workers busy', 'percentunit', { '{{instance}}': 'max by (instance) (signalbox_runtime_busy_ratio{@})' }, [
          'Share of the time that the worker threads were at work.',
          'below 70 %; the dashed line is where waiting begins to hurt.',
          'all nodes: add one. One node: open Nodes.',
        ], { max: 1, limits: above(0.9), links: [board('nodes')] }),
        series('Blocked, and tasks waiting', 'short', {
          '{{instance}} blocked': 'sum by (instance) (increase(signalbox_runtime_blocked_total{@}[@]))',
          '{{instance}} tasks waiting': 'max by (instance) (signalbox_runtime_queue_depth{@})',
        }, [
          'Times the runtime was late by over 50 ms, and tasks that wait for a worker.',
          'both near 0; tasks waiting above the number of cores for long is overload.',
          'blocked without a busy CPU: something waits inside a handler; find the slow event beside.',
        ], { links: [runbook('RuntimeBlocked')] }),
        series('Handling an event, slowest 1 %', 's', { '{{event}}': quantile(0.99, 'signalbox_event_handle_duration_seconds', { by: 'event' }) }, [
          'From an event’s turn to its answer, by event. A gap means that there were none.',
          'below 1 ms; scanOrder, joinSession and create-room wait for the database and take longer.',
          'one event: its handler. All of them: the node.',
        ], { many: true, links: [board('scan-flow'), board('signaling')] }))),
    section('The database',
      line(8,
        series('Operations, slowest 1 %', 's', { '{{op}}': quantile(0.99, STORE, { by: 'op' }) }, [
          'How long the database takes, by kind of operation. A gap means that there were none.',
          'below 50 ms; above the dashed line of 250 ms it is a ticket.',
          'all of them: the disk or the database server. One: its query.',
        ], { many: true, limits: above(0.25), links: [runbook('SlowStore'), storeLogs] }),
        series('Operations by result', 'ops', { '{{result}}': rate(`${OPERATIONS}{@}`, 'result') }, [
          'Operations by how they ended. timeout: it took longer than allowed.',
          'ok only.',
          'error or timeout: open the log of the store; it names the operation.',
        ], { stack: true, colors: OUTCOMES, links: [storeLogs, runbook('StoreDown')] }),
        series('Operations that did not work, by kind', 'ops', { '{{op}} {{result}}': rate(`${OPERATIONS}{@, result!="ok"}`, 'op, result') }, [
          'The same without those that worked, by kind.',
          '0.',
          'enter: scans are not kept. replay: monitors do not get what they missed. record: rooms are not written and wait. account, login, refresh: nobody can log in. say, chat: nobody can chat.',
        ], { draw: 'bars', many: true, links: [storeLogs] })),
      line(8,
        series('Connections to the database', 'short', {
          '{{state}}': 'sum by (state) (signalbox_store_pool_connections{@})', 'limit': 'sum(signalbox_store_pool_max{@})',
        }, [
          'Busy and idle connections, and how many there may be.',
          'busy far below the limit.',
          'busy at the limit: operations wait for a connection; which operation is slow above?',
        ], { colors: { busy: 'orange', idle: 'green', limit: 'red' }, links: [runbook('StorePoolSaturated')] }),
        series('Changes waiting and lost', 'short', {
          waiting: 'sum(signalbox_store_changes_waiting{@})', lost: 'sum(increase(signalbox_store_changes_lost_total{@}[@]))',
        }, [
          'Changes of rooms that wait to be written, and those given up because too many waited.',
          'waiting near 0, lost 0.',
          'lost: the history of rooms has holes, what is open is set right; see since when the database was away.',
        ], { colors: { waiting: 'orange', lost: 'red' }, links: [runbook('RoomChangesLost'), storeLogs] }),
        states('Database answers', { '{{instance}}': 'max by (instance) (signalbox_store_up{@})' }, [
          'Green while the node’s database answers.',
          'green.',
          'red on all nodes: the database. On one: its way to it.',
        ], { mappings: words({ 0: 'away', 1: 'answers' }, { 0: 'red', 1: 'green' }), links: [runbook('StoreDown')] })),
      line(8,
        series('Scans in one transaction', 'short', {
          'on average': `${rate(`${BATCH}_sum{@}`)} / ${rate(`${BATCH}_count{@}`)}`, '99 % have at most': quantile(0.99, BATCH),
        }, [
          'Scans that were written into the ledger together: those that came while the transaction before them ran.',
          'near 1 at rest, a few under load; at most 500.',
          'growing: the database is slower than scans come in; which operation is slow above? Scans wait that long.',
        ], { decimals: 1, links: [runbook('SlowStore'), board('scan-flow')] }),
        series('Writing and reading scans', 's', {
          'writing, half': quantile(0.5, STORE, { where: 'op="enter"' }), 'writing, slowest 1 %': quantile(0.99, STORE, { where: 'op="enter"' }),
          'reading, slowest 1 %': quantile(0.99, STORE, { where: 'op="replay"' }),
        }, [
          'How long a transaction of the ledger takes, and reading what a monitor missed. Every scan waits for its transaction before it is relayed.',
          'a few milliseconds; the objective of a whole scan is 250 ms, the dashed line.',
          'writing slow: the disk or the database server. Only reading: monitors that missed much.',
        ], { limits: above(0.25), links: [runbook('SlowStore'), board('scan-flow')] }),
        series('Scans not kept', 'ops', { '{{instance}}': rate('signalbox_scan_flows_total{@, outcome="storage_failed"}', 'instance') }, [
          'Scans that the database did not take. They were relayed without being kept, or refused, as SCAN_WITHOUT_STORE says. They spend error budget.',
          '0; about a minute of it pages.',
          'open the runbook; the log of the store says why.',
        ], { draw: 'bars', links: [runbook('ScansNotStored'), storeLogs] }))),
    section('HTTP, and errors of every kind',
      line(8,
        series('HTTP requests by status', 'ops', { '{{status}}': rate(`${REQUESTS}{@}`, 'status') }, [
          'Requests to the HTTP side by class of status. Sockets are not in it.',
          'nearly all 2xx.',
          '5xx is our fault: open the errors in the log. 4xx rising: clients with a wrong address or token.',
        ], { stack: true, colors: { '2xx': 'green', '4xx': 'orange', '5xx': 'red' }, links: [errorLogs] }),
        series('HTTP requests, slowest 1 %', 's', { '{{route}}': quantile(0.99, HTTP, { by: 'route' }) }, [
          'How long requests take, by route. A gap means that there were none.',
          'below 50 ms; logging in hashes a password and takes some tenths of a second. 0.5 s means that or longer.',
          'probes slow: the node is busy. Others slow: the database above.',
        ], { many: true, links: [runbook('SlowStore')] }),
        series('Errors of ours', 'ops', { '{{component}} {{kind}}': rate('signalbox_errors_total{@}', 'component, kind') }, [
          'Failures by part of the server and kind: panic, a dependency, input and output.',
          '0.',
          'open the errors in the log; each has an error id that leads to its flow.',
        ], { draw: 'bars', many: true, links: [errorLogs, board('on-call')] }))),
  ],
};
