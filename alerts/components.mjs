// Alerts about symptoms that the objectives do not see, and about parts that will cause some.

const page = (component) => ({ severity: 'page', component });
const ticket = (component) => ({ severity: 'ticket', component });
const SENT = 'signalbox_scan_flows_total{outcome="sent"}';
const NOT_STORED = 'signalbox_scan_flows_total{outcome="storage_failed"}';
const REFUSED = 'signalbox_handshakes_total{result=~"no_token|bad_token|limited|blocked|origin"}';

/** Counts something that must never happen: told for as long as the window reaches back. */
const rose = (metric, window) => `increase(${metric}[${window}]) > 0`;

export const groups = [
  {
    name: 'signalbox-scans',
    why: `Scans that do not arrive without being counted as failed: nobody scans, one hangs, or they never reach us. And scans
that are not kept: the database is a part, but what it costs is scans.`,
    rules: [
      {
        alert: 'CanaryStale',
        why: `Four misses in a row: 2 minutes at one scan every 30 s; nothing where it is switched off (0). Before the first success (0) the process start
counts, so that a fresh node has the same 2 minutes. A draining node lets nobody in, its canary neither.`,
        expr: `time() - (
  signalbox_canary_last_success_timestamp_seconds > process_start_time_seconds
  or process_start_time_seconds and signalbox_canary_last_success_timestamp_seconds
) > 4 * (signalbox_canary_interval_seconds > 0)
unless signalbox_draining == 1`,
        labels: page('scan'),
        node: true,
        summary: "{{ $labels.instance }} has not relayed its own canary's scan for {{ $value | humanizeDuration }}.",
        impact: 'Scans through this node most likely do not arrive, whether or not anybody scans now.',
        check: 'sum by (result) (increase(signalbox_canary_runs_total{instance="{{ $labels.instance }}"}[5m]))',
        board: 'signalbox-on-call',
        flows: 'event=scanOrder',
      },
      {
        alert: 'ScansStuck',
        why: `A scan takes a few milliseconds. One that is 30 s old hangs, and a hang counts as nothing until it ends. Twice in
30 s, so that one scan that was slow once wakes nobody.`,
        expr: 'signalbox_scan_oldest_unacked_seconds > 30',
        for: '30s',
        labels: page('scan'),
        node: true,
        summary: 'A scan on {{ $labels.instance }} has waited for its answer for {{ $value | humanizeDuration }}.',
        impact: "The phone waits and so does everything it scans after that; no error is counted, so no burn alert fires.",
        check: 'signalbox_scans_in_flight{instance="{{ $labels.instance }}"}',
        board: 'signalbox-scan-flow',
        flows: 'event=scanOrder&min_ms=1000',
      },
      {
        alert: 'ScansNotStored',
        why: `A scan that was not stored shows for up to a minute, so 2 minutes are about one of trouble: one hiccup of the
database wakes nobody. The canary's scans do not count: somebody scans.`,
        expr: rose(NOT_STORED, '1m'),
        for: '2m',
        labels: page('scan'),
        node: true,
        summary: 'The database of {{ $labels.instance }} did not take {{ $value | humanize }} scans in the last minute.',
        impact: 'With SCAN_WITHOUT_STORE=relay these scans open orders, but are not kept: a monitor that is away never gets them. With refuse no order opens and the phone shows UNAVAILABLE.',
        check: 'signalbox_store_up{instance="{{ $labels.instance }}"}',
        board: 'signalbox-runtime',
        flows: 'event=scanOrder',
      },
      {
        record: 'signalbox:scans_sent:increase30m',
        expr: `sum by (job) (increase(${SENT}[30m]))`,
      },
      {
        alert: 'ScanTrafficVanished',
        why: `Scans that reached a monitor in half an hour, against the same half hour a week ago: nights, weekends and breaks
look the same then. A tenth is less than a bad day; 100 is enough that chance does not do it. 100 scans in the 3
hours before say that people came to work today: a holiday is silent all day. 10 minutes, because breaks
move. In the first week there is no week ago, and no alert.`,
        expr: `signalbox:scans_sent:increase30m < 0.1 * (signalbox:scans_sent:increase30m offset 1w)
and signalbox:scans_sent:increase30m offset 1w >= 100
and sum by (job) (increase(${SENT}[3h] offset 30m)) >= 100`,
        for: '10m',
        labels: page('scan'),
        summary: 'Only {{ $value | humanize }} scans reached a monitor in the last 30 minutes, less than a tenth of a week ago.',
        impact: 'Scans probably do not get as far as the server, or all are refused; nothing counts as an error.',
        check: 'sum by (outcome) (increase(signalbox_scan_flows_total[30m]))',
        board: 'signalbox-on-call',
        flows: 'event=scanOrder',
      },
    ],
  },
  {
    name: 'signalbox-nodes',
    why: `Nodes that are away, restart, or differ. One that said that it drains may be away for half an hour: that is a deploy or
maintenance.`,
    rules: [
      {
        alert: 'AllNodesDown',
        why: `No node is up and takes clients; or there is no target at all (a service discovery gone empty looks like peace).
A minute is four scrapes, and longer than a restart.`,
        expr: `count by (job) (up{job="signalbox"})
  unless count by (job) (up{job="signalbox"} == 1 unless on (job, instance) signalbox_draining == 1)
or absent(up{job="signalbox"})`,
        for: '1m',
        labels: page('nodes'),
        summary: 'No Signalbox node can be reached and takes clients.',
        impact: 'Nobody can scan, call or log in.',
        check: 'up{job="signalbox"}',
        board: 'signalbox-nodes',
        flows: 'outcome=failed',
      },
      {
        alert: 'NodeDown',
        why: `3 minutes outlast a restart without draining; other nodes take the clients meanwhile, hence a ticket.`,
        expr: `up{job="signalbox"} == 0
unless on (job, instance) last_over_time(signalbox_draining[30m]) == 1`,
        for: '3m',
        labels: ticket('nodes'),
        node: true,
        summary: '{{ $labels.instance }} cannot be scraped and did not say that it was draining.',
        impact: 'Its clients have moved to the other nodes, if there are any, and lost the sessions that lived on it.',
        check: 'Ask the node itself: curl -m 5 http://{{ $labels.instance }}/livez',
        board: 'signalbox-nodes',
        flows: 'outcome=failed',
      },
      {
        alert: 'CrashLoop',
        why: `Three starts in an hour: a deploy makes one, a deploy that is rolled back two.`,
        expr: 'changes(process_start_time_seconds{job="signalbox"}[1h]) >= 3',
        labels: ticket('nodes'),
        node: true,
        summary: '{{ $labels.instance }} started {{ $value }} times in the last hour.',
        impact: 'At every start its clients reconnect and its sessions begin anew.',
        check: 'increase(signalbox_panics_total{instance="{{ $labels.instance }}"}[1h])',
        board: 'signalbox-nodes',
        flows: 'outcome=failed',
      },
      {
        alert: 'VersionSkew',
        why: `A rolling deploy is over within the hour.`,
        expr: 'count by (job) (count by (job, version) (signalbox_build_info)) > 1',
        for: '1h',
        labels: ticket('nodes'),
        summary: '{{ $value }} versions have been running side by side for over an hour.',
        impact: 'Clients behave differently by the node they meet; a deploy has stopped half-way.',
        check: 'count by (version, instance) (signalbox_build_info)',
        board: 'signalbox-nodes',
        flows: 'outcome=failed',
      },
    ],
  },
  {
    name: 'signalbox-connections',
    why: `Clients that come and go too often. Summed over the nodes: a client that is thrown out comes back elsewhere.`,
    rules: [
      {
        alert: 'ReconnectStorm',
        why: `In 5 minutes three times as many handshakes as there are clients, for 5 minutes. The start of a shift is one for
each, a rolling restart of two nodes two. Under 100 it is a few phones on a bad network.`,
        expr: `sum by (job) (increase(signalbox_handshakes_total[5m]))
  > 3 * sum by (job) (signaling_active_connections)
and sum by (job) (increase(signalbox_handshakes_total[5m])) >= 100`,
        for: '5m',
        labels: ticket('connections'),
        summary: '{{ $value | humanize }} handshakes in 5 minutes, over three for each client that is connected.',
        impact: 'Clients lose their connection again and again; scans in between wait in the phone.',
        check: 'topk(3, sum by (reason) (rate(signalbox_disconnects_total[5m])))',
        board: 'signalbox-connections',
        flows: 'event=disconnect',
      },
      {
        alert: 'HandshakeRefusalsHigh',
        why: `Over half of the handshakes refused, and at least 50 in 15 minutes: one phone with an old token tries far less
often. Not our failure, so in no objective, but a wrong key or clock of ours looks just like this.`,
        expr: `sum by (job) (increase(${REFUSED}[15m]))
  / sum by (job) (increase(signalbox_handshakes_total[15m])) > 0.5
and sum by (job) (increase(${REFUSED}[15m])) >= 50`,
        for: '10m',
        labels: ticket('connections'),
        summary: '{{ $value | humanizePercentage }} of handshakes were refused in the last 15 minutes.',
        impact: 'Clients are not let in: their tokens, their site or our settings are wrong, or their address is blocked.',
        check: 'sum by (result) (rate(signalbox_handshakes_total[15m]))',
        board: 'signalbox-connections',
        flows: 'outcome=refused&event=connect',
      },
      {
        alert: 'SendQueueFull',
        why: `Five clients in 10 minutes: one slow monitor may be thrown out twice, five are a network or a node.`,
        expr: 'sum by (job) (increase(signalbox_send_queue_full_total[10m])) >= 5',
        labels: ticket('connections'),
        summary: '{{ $value | humanize }} clients were disconnected in 10 minutes because they did not read.',
        impact: 'Those monitors miss scans until they are back.',
        check: 'topk(3, sum by (instance) (increase(signalbox_send_queue_full_total[10m])))',
        board: 'signalbox-connections',
        flows: 'event=disconnect',
      },
      {
        alert: 'AddressBlockSurge',
        why: `A block lasts 15 minutes (BLOCK_DURATION), so each in 15 minutes is another address, or the same on another node: one
attacker makes one or two. Ten are many attackers, or many clients whose tokens we do not know. Those of one office are one
address: what that costs shows in HandshakeRefusalsHigh.`,
        expr: 'sum by (job) (increase(signalbox_blocks_total[15m])) >= 10',
        labels: ticket('connections'),
        summary: '{{ $value | humanize }} addresses were blocked in the last 15 minutes.',
        impact: 'Everybody behind these addresses is disconnected and turned away for 15 minutes, from pages and scans too; many of them may have done nothing.',
        check: 'sum by (instance, reason) (increase(signalbox_blocks_total[15m]))',
        board: 'signalbox-connections',
        flows: 'outcome=refused&event=connect',
      },
    ],
  },
  {
    name: 'signalbox-chat',
    why: `Chat and its assistant. A message that we lose burns the budget of signaling; these are about what is late, or about
somebody else who does not answer.`,
    rules: [
      {
        alert: 'ChatStoreSlow',
        why: `Each message is written before its room gets it, and the messages of a room wait for each other. SlowStore looks at all
operations together, where those of chat may be too few to show. Under 100 in 10 minutes, one is no percentile.`,
        expr: `histogram_quantile(0.99, sum by (job, instance, le) (rate(signalbox_store_operation_seconds_bucket{op=~"say|chat"}[10m]))) > 0.25
and sum by (job, instance) (increase(signalbox_store_operation_seconds_count{op=~"say|chat"}[10m])) >= 100`,
        for: '10m',
        labels: ticket('chat'),
        node: true,
        summary: 'One in a hundred chat operations of the database of {{ $labels.instance }} takes {{ $value | humanizeDuration }} or longer.',
        impact: 'Messages arrive late, those of a busy room one after the other; rooms open slowly. Over STORE_TIMEOUT (2s) messages are refused.',
        check: 'sum by (op) (rate(signalbox_store_operation_seconds_sum{instance="{{ $labels.instance }}",op=~"say|chat"}[10m])) / sum by (op) (rate(signalbox_store_operation_seconds_count{instance="{{ $labels.instance }}",op=~"say|chat"}[10m]))',
        board: 'signalbox-signaling',
        flows: 'event=message&min_ms=250',
      },
      {
        alert: 'GptQueueBacklog',
        why: `What waits, divided by how fast questions end: how long the last one waits, whatever GPT_CONCURRENCY is. A minute is more than
people wait. Where nothing ends at all it is infinite. For 5 minutes, so that a lesson in which all ask at once wakes nobody.`,
        expr: `sum by (job, instance) (signalbox_gpt_queue_depth)
  / sum by (job, instance) (rate(signalbox_gpt_requests_total{outcome=~"ok|failed|cancelled"}[5m])) > 60`,
        for: '5m',
        labels: ticket('chat'),
        node: true,
        summary: 'Who asks the assistant on {{ $labels.instance }} waits {{ $value | humanizeDuration }} before it begins to answer.',
        impact: 'Answers come too late to be of use; from GPT_QUEUE_MAX (100) waiting on, questions are refused: "the assistant is busy". Chat between people goes on.',
        check: 'histogram_quantile(0.5, sum by (le) (rate(signalbox_gpt_seconds_bucket{instance="{{ $labels.instance }}"}[5m])))',
        board: 'signalbox-signaling',
        flows: 'event=message',
      },
      {
        alert: 'GptBreakerOpen',
        why: `An open breaker refuses, so that nothing waits and GptQueueBacklog is silent. Each failure opens it anew for GPT_BREAKER_PAUSE
(30 s), and then it waits for somebody to ask: hence within 2 minutes. 5 minutes of it are no accident, and people ask.`,
        expr: 'max_over_time(signalbox_gpt_breaker_open[2m]) == 1',
        for: '5m',
        labels: ticket('chat'),
        node: true,
        summary: 'The breaker of the assistant on {{ $labels.instance }} has been open again and again for over 5 minutes.',
        impact: 'Who asks the assistant in chat is told that it is busy, or gets no answer. Chat between people goes on.',
        check: 'grep signalbox::assistant logs/combined.* | tail -3',
        board: 'signalbox-signaling',
        flows: 'outcome=refused&event=message',
      },
    ],
  },
  {
    name: 'signalbox-queue',
    why: `People who wait in line and select seats. What fails there is counted as failed; these are about what does not happen.`,
    rules: [
      {
        alert: 'QueueStalled',
        why: `Free counts only the slots of events that have a line, and every second they go to those who wait. A busy node may show
a free slot at every scrape: hence nobody let in for 2 minutes. A full event lets nobody in for long, and then has a
free slot for up to a second: hence a minute, four scrapes. A line is in the memory of its node.`,
        expr: `signalbox_queue_waiting > 0
and signalbox_queue_free > 0
and increase(signalbox_queue_admitted_total[2m]) == 0`,
        for: '1m',
        labels: ticket('queue'),
        node: true,
        summary: '{{ $value | humanize }} people wait on {{ $labels.instance }} though slots are free, and nobody has been let in for 2 minutes.',
        impact: 'The line stands still: nobody gets into the event, and nothing counts as an error.',
        check: 'signalbox_queue_free{instance="{{ $labels.instance }}"}',
        board: 'signalbox-signaling',
        flows: 'event=join-queue',
      },
      {
        alert: 'SeatConflictsHigh',
        why: `Over half in 10 minutes, for 10 minutes: when a sale begins all want the same seats, but soon know better. 100
selections: two people who click on one seat are no trouble.`,
        expr: `sum by (job) (increase(signalbox_seat_selections_total{result="conflict"}[10m]))
  / sum by (job) (increase(signalbox_seat_selections_total[10m])) > 0.5
and sum by (job) (increase(signalbox_seat_selections_total[10m])) >= 100`,
        for: '10m',
        labels: ticket('queue'),
        summary: '{{ $value | humanizePercentage }} of the seats that people selected in the last 10 minutes were taken already.',
        impact: 'People click on seats that look free and are not: they do not hear what others select, or hardly any seat is left.',
        check: 'sum by (result) (rate(signalbox_seat_selections_total[10m]))',
        board: 'signalbox-signaling',
        flows: 'outcome=refused&event=select-seat',
      },
    ],
  },
  {
    name: 'signalbox-store',
    why: `The database. Signaling goes on without it, accounts do not: tickets. That scans are not kept meanwhile pages as
ScansNotStored.`,
    rules: [
      {
        alert: 'StoreDown',
        why: `2 minutes outlast a failover of PostgreSQL.`,
        expr: 'signalbox_store_up == 0',
        for: '2m',
        labels: ticket('store'),
        node: true,
        summary: '{{ $labels.instance }} cannot reach its database.',
        impact: 'Scans there are relayed without being kept, or refused; nobody can log in, register or chat; what happens in rooms waits in memory.',
        check: 'signalbox_store_changes_waiting{instance="{{ $labels.instance }}"}',
        board: 'signalbox-runtime',
        flows: 'outcome=failed',
      },
      {
        alert: 'StorePoolSaturated',
        why: `Nine of ten connections busy on average: what comes next waits for one, and fails after STORE_POOL_WAIT. The
average, because a scrape is a glance.`,
        expr: `avg_over_time(signalbox_store_pool_connections{state="busy"}[5m])
  / on (job, instance) signalbox_store_pool_max > 0.9`,
        for: '5m',
        labels: ticket('store'),
        node: true,
        summary: '{{ $value | humanizePercentage }} of the database connections of {{ $labels.instance }} are busy.',
        impact: 'Logging in becomes slow, then answers UNAVAILABLE. With PostgreSQL scans become slow, too, and then are not kept.',
        check: 'topk(3, sum by (op) (rate(signalbox_store_operation_seconds_sum{instance="{{ $labels.instance }}"}[5m])))',
        board: 'signalbox-runtime',
        flows: 'outcome=failed',
      },
      {
        alert: 'SlowStore',
        why: `An operation takes about a millisecond, its limit is 2 s. One in a hundred over 250 ms for 10 minutes is a disk or
server in trouble. A node at rest makes some 600 operations in 10 minutes; under 100, one is no percentile.`,
        expr: `histogram_quantile(0.99, sum by (job, instance, le) (rate(signalbox_store_operation_seconds_bucket[10m]))) > 0.25
and sum by (job, instance) (increase(signalbox_store_operation_seconds_count[10m])) >= 100`,
        for: '10m',
        labels: ticket('store'),
        node: true,
        summary: 'One in a hundred database operations of {{ $labels.instance }} takes {{ $value | humanizeDuration }} or longer.',
        impact: 'Each scan waits for the database before it is relayed; logging in and reading rooms are slow. A little worse and they time out.',
        check: 'topk(3, sum by (op) (rate(signalbox_store_operation_seconds_sum{instance="{{ $labels.instance }}"}[10m])) / sum by (op) (rate(signalbox_store_operation_seconds_count{instance="{{ $labels.instance }}"}[10m])))',
        board: 'signalbox-runtime',
        flows: 'min_ms=250',
      },
      {
        alert: 'RoomChangesLost',
        why: `Given up after 100,000 wait: it takes a long outage, and it cannot be undone. An hour, so that it is seen.`,
        expr: rose('signalbox_store_changes_lost_total', '1h'),
        labels: ticket('store'),
        node: true,
        summary: '{{ $labels.instance }} gave up {{ $value | humanize }} changes of rooms in the last hour.',
        impact: 'Who was in which room when has holes; what is open now is set right by itself.',
        check: 'signalbox_store_up{instance="{{ $labels.instance }}"}',
        board: 'signalbox-runtime',
        flows: 'outcome=failed',
      },
    ],
  },
  {
    name: 'signalbox-runtime',
    why: `The process itself.`,
    rules: [
      {
        alert: 'RuntimeBlocked',
        why: `A worker that is 50 ms late happens on a busy machine. 20 times in 10 minutes is a habit.`,
        expr: 'increase(signalbox_runtime_blocked_total[10m]) > 20',
        for: '5m',
        labels: ticket('runtime'),
        node: true,
        summary: 'Worker threads of {{ $labels.instance }} were held up {{ $value | humanize }} times in 10 minutes.',
        impact: 'Every event on that node waits 50 ms or longer now and then; scans miss their 250 ms if it grows.',
        check: 'signalbox_runtime_busy_ratio{instance="{{ $labels.instance }}"}',
        board: 'signalbox-runtime',
        flows: 'min_ms=50',
      },
      {
        alert: 'FdNearLimit',
        why: `A client is a descriptor. At four fifths there is time to act.`,
        expr: 'process_open_fds{job="signalbox"} / process_max_fds{job="signalbox"} > 0.8',
        for: '5m',
        labels: ticket('runtime'),
        node: true,
        summary: '{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its file descriptors.',
        impact: 'At the limit nobody new can connect and the log files cannot be changed.',
        check: 'signaling_active_connections{instance="{{ $labels.instance }}"} / on (job, instance) process_open_fds',
        board: 'signalbox-runtime',
        flows: 'outcome=failed',
      },
      {
        alert: 'MemoryGrowth',
        why: `At the pace of the last 6 hours, half as much again by tomorrow, while there are hardly more clients than 6 hours
ago. 128 MiB on top, because the flow recorder (24 MiB) may still be filling; and 6 hours after a start, when everything grows.`,
        expr: `predict_linear(process_resident_memory_bytes{job="signalbox"}[6h], 24 * 3600)
  > 1.5 * process_resident_memory_bytes{job="signalbox"} + 128 * 1024 * 1024
and on (job, instance) signaling_active_connections <= 1.1 * (signaling_active_connections offset 6h)
and on (job, instance) time() - process_start_time_seconds{job="signalbox"} > 6 * 3600`,
        for: '1h',
        labels: ticket('runtime'),
        node: true,
        summary: 'The memory of {{ $labels.instance }} grows without more clients: {{ $value | humanize1024 }}B by tomorrow.',
        impact: 'Some time the system ends the process, and all its clients reconnect at once.',
        check: 'process_resident_memory_bytes{instance="{{ $labels.instance }}"} / on (job, instance) (signaling_active_connections > 0)',
        board: 'signalbox-runtime',
        flows: 'min_ms=250',
      },
      {
        alert: 'Panicked',
        why: `Never normal: each is a bug. Told for 15 minutes.`,
        expr: rose('signalbox_panics_total', '15m'),
        labels: ticket('runtime'),
        node: true,
        summary: '{{ $labels.instance }} panicked {{ $value | humanize }} times in 15 minutes.',
        impact: 'Each cost one client its event; the rest goes on.',
        check: 'grep \'"level":"ERROR"\' logs/error.* | tail -3',
        board: 'signalbox-runtime',
        flows: 'outcome=failed',
      },
    ],
  },
  {
    name: 'signalbox-telemetry',
    why: `Whether what you see can be trusted. Delivery does not depend on it.`,
    rules: [
      {
        alert: 'LogLinesDropped',
        why: `Lines are dropped only when 8 MiB wait for the disk: it is full, away or very slow.`,
        expr: rose('signalbox_log_lines_dropped_total', '15m'),
        labels: ticket('telemetry'),
        node: true,
        summary: '{{ $labels.instance }} lost {{ $value | humanize }} log lines in 15 minutes.',
        impact: 'The logs have holes; a scan may be missing in them that did arrive.',
        check: 'On {{ $labels.instance }}: df -h logs',
        board: 'signalbox-telemetry',
        flows: 'outcome=failed',
      },
      {
        alert: 'TelemetryExportFailing',
        why: `One export in ten failing is more than a collector's restart; 10 exports, so that one is not a tenth.`,
        expr: `sum by (job, instance) (increase(signalbox_telemetry_export_total{result="error"}[15m]))
  / sum by (job, instance) (increase(signalbox_telemetry_export_total[15m])) > 0.1
and sum by (job, instance) (increase(signalbox_telemetry_export_total[15m])) >= 10`,
        for: '10m',
        labels: ticket('telemetry'),
        node: true,
        summary: '{{ $value | humanizePercentage }} of the exports of {{ $labels.instance }} fail.',
        impact: 'Traces have holes: links from graphs and logs lead nowhere. Use the console instead.',
        check: 'rate(signalbox_telemetry_dropped_total{instance="{{ $labels.instance }}"}[5m])',
        board: 'signalbox-telemetry',
        flows: 'outcome=failed',
      },
      {
        alert: 'Watchdog',
        why: `Always fires. Who receives it raises the alarm when it stops coming.`,
        expr: 'vector(1)',
        labels: { severity: 'none', component: 'telemetry' },
        summary: 'Prometheus and Alertmanager work.',
        impact: 'None while it comes. When it stops coming, no alert of Signalbox reaches anybody.',
        check: 'ALERTS{alertname="Watchdog"}',
        board: 'signalbox-telemetry',
        flows: 'outcome=failed',
      },
    ],
  },
];
