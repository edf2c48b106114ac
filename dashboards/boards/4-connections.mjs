// Board 4: who connects, who hangs up, and whose doing it is.
import { board, errorLogs, failedFlows, flows, logs, refusedFlows, runbook } from '../links.mjs';
import { above, below, line, section, series, stat } from '../panels.mjs';
import { count, objectives, quantile, rate } from '../promql.mjs';

const { handshake } = objectives;
const DURATION = 'signaling_connection_duration_seconds';
const RESTORES = 'signalbox_session_restores_total';
const RESTORE = 'signalbox_session_restore_duration_seconds';
const RESTORED = { ok: 'green', expired: 'purple', unknown: 'blue', gap: 'orange', error: 'red' };
const restoreFlows = flows('event=restore', 'restores');
const blockLogs = logs('target="signalbox::blocks"', 'blocks, with their addresses');
const connectionLogs = logs('target="signalbox::connection"', 'connections opened and closed');

export default {
  uid: 'signalbox-connections',
  title: 'Connections and sessions: the network, the client or us?',
  description: 'Three columns in the middle tell the network’s doing from the client’s and from ours.',
  sections: [
    section(null,
      line(4,
        stat('Connected', 'short', 'sum(signaling_active_connections{@})', [
          'Clients connected now, over all nodes.',
          'follows the working hours.',
          'a sudden fall: look at the three columns below.',
        ], { spark: true, decimals: 0, links: [board('nodes')] }),
        stat('Of what fits', 'percentunit', 'max(signaling_active_connections{@} / signalbox_connections_max{@})', [
          'Connections of the fullest node, as a share of its limit SOCKETS_MAX.',
          'below 70 %; at 100 % the node turns clients away.',
          'add a node, or raise the limit if memory and files allow it.',
        ], { decimals: 1, min: 0, max: 1, limits: above(0.7, 0.9), links: [board('nodes'), board('runtime')] }),
        stat('Handshakes kept', 'percentunit', `1 - ${handshake.failed(count)} / ${handshake.total(count)}`, [
          'Share of the handshakes in the time shown that did not fail through our fault. Bad tokens and limits are not counted.',
          '100 %; the objective is 99.9 %.',
          'open the errors in the log.',
        ], { decimals: 2, limits: below(0.999, 0.9995), noValue: 'none', links: [errorLogs, board('objectives')] }),
        stat('Handshakes refused', 'percentunit', `${count('signalbox_handshakes_total{@, result!~"ok|error"}')} / ${count('signalbox_handshakes_total{@}')}`, [
          'Share of the handshakes in the time shown that were turned away: no token, a bad one, a limit, a wrong origin, or a blocked address.',
          'below 5 %.',
          'see which result grew in the client’s column below.',
        ], { decimals: 1, limits: above(0.05, 0.5), noValue: 'none', links: [refusedFlows] }),
        stat('Ping timeouts', 'ops', rate('signalbox_disconnects_total{@, reason="ping_timeout"}'), [
          'Clients each second that stopped answering and were given up.',
          'near 0; phones that leave the radio’s reach make a few.',
          'rising on all nodes is the network; on one node open Nodes.',
        ], { spark: true, links: [board('nodes'), connectionLogs] }),
        stat('Half stay longer than', 's', quantile(0.5, DURATION, { overRange: true }), [
          'Median duration of the connections that ended in the time shown.',
          'minutes to hours. Seconds mean that clients cannot stay.',
          'look at the reasons of the disconnects below.',
        ], { limits: below(5, 60), noValue: 'none ended', links: [connectionLogs] }))),
    section('Who is there?',
      line(8,
        series('Connections by role', 'short', { '{{role}}': 'sum by (role) (signalbox_connections{@})' }, [
          'Connected clients by what they registered as or do: phones, monitors, WebRTC peers, people in chat. unknown has not said, as people who wait in line never do.',
          'unknown near 0 where no tickets are sold; phones and monitors in a steady proportion.',
          'unknown staying up: clients connect and do not register, an old version or a fault in the application.',
        ], { stack: true, links: [connectionLogs] }),
        series('Connections by transport', 'short', { '{{transport}}': 'sum by (transport) (signalbox_connections{@})' }, [
          'WebSocket or HTTP long-polling.',
          'nearly all WebSocket.',
          'polling rising: a proxy on the way blocks WebSockets.',
        ], { stack: true, colors: { websocket: 'green', polling: 'orange' }, links: [board('nodes')] }),
        series('Connections of each node, of its limit', 'percentunit', {
          '{{instance}}': 'max by (instance) (signaling_active_connections{@} / signalbox_connections_max{@})',
        }, [
          'Connections of each node as a share of its limit SOCKETS_MAX.',
          'below the dashed line of 90 %, and alike on all nodes.',
          'near the limit: add a node. Not alike: open Nodes.',
        ], { max: 1, limits: above(0.9), links: [board('nodes')] }))),
    section('The network, the client or us?',
      line(9,
        series('The network hung up', 'ops', { '{{reason}}': rate('signalbox_disconnects_total{@, reason=~"transport_close|transport_error|ping_timeout"}', 'reason') }, [
          'Connections that broke on the way: closed by the transport, an error on it, or no answer to pings.',
          'few and steady. Browsers that are closed count as transport_close.',
          'ping_timeout up: radio or network. transport_error up: a proxy that cuts connections.',
        ], { links: [connectionLogs, board('nodes')] }),
        series('The client left or misbehaved', 'ops', { '{{reason}}': rate('signalbox_disconnects_total{@, reason=~"client_left|parse_error|concurrent_polling|flood|token_expired|token_revoked|blocked"}', 'reason') }, [
          'Connections that ended through the client: it said goodbye, sent what cannot be read, flooded, its token ended, or its address was blocked.',
          'client_left mostly.',
          'parse_error or flood up: a client with a fault, find it in the refused flows. token_expired up: clients do not renew. blocked: see who is shut out below.',
        ], { links: [refusedFlows, connectionLogs] }),
        series('We hung up', 'ops', { '{{reason}}': rate('signalbox_disconnects_total{@, reason=~"send_queue_full|draining|server_closed"}', 'reason') }, [
          'Connections that the server ended: the client did not read fast enough, the node drains, or it closed them.',
          '0 outside of deploys.',
          'send_queue_full up: slow monitors or a burst, open Scan flow. draining: look for a deploy, the blue mark.',
        ], { colors: { send_queue_full: 'red', draining: 'blue', server_closed: 'orange' }, links: [board('scan-flow'), board('nodes')] })),
      line(9,
        series('Turned away before an event', 'ops', { '{{reason}}': rate('signalbox_rejected_total{@}', 'reason') }, [
          'Requests and connections rejected at the door, by reason.',
          'near 0.',
          'origin or sid up: an attack or a wrong setting. connections: the limit is reached. timeout or slow_reader: a bad network. blocked: pages and requests from blocked addresses, see below.',
        ], { many: true, links: [refusedFlows, board('nodes')] }),
        series('Handshakes by result', 'ops', { '{{result}}': rate('signalbox_handshakes_total{@}', 'result') }, [
          'Clients that ask to be let in, by what came of it. Only error is our fault.',
          'nearly all ok. Peaks follow a deploy or a network fault: everybody comes back.',
          'bad_token up: expired or forged tokens. limited up: a reconnect loop. blocked up: see who is shut out below. error up: open the errors in the log.',
        ], { stack: true, many: true, colors: { ok: 'green', error: 'red', bad_token: 'orange', no_token: 'yellow', limited: 'purple', origin: 'dark-orange', blocked: 'dark-red' }, links: [errorLogs, board('objectives')] }),
        series('Our failures', 'ops', {
          'handshakes that failed': rate('signalbox_handshakes_total{@, result="error"}'),
          'sockets with a full send queue': rate('signalbox_send_queue_full_total{@}'),
          'events with a full inbox': rate('signalbox_inbox_overflow_total{@}'),
        }, [
          'What the server could not do for a client: let it in, keep up with sending, keep up with handling.',
          '0.',
          'open the failed flows, then Runtime and storage: is the node at its end?',
        ], { draw: 'bars', links: [failedFlows, board('runtime')] }))),
    section('Who is shut out?',
      line(8,
        series('Addresses blocked now', 'short', { '{{instance}}': 'max by (instance) (signalbox_blocked_addresses{@})' }, [
          'Addresses that each node lets neither connect nor ask anything. Each block ends by itself after BLOCK_DURATION (15 min). Many people may be behind one address.',
          '0, or a few.',
          'the log of blocks names them; GET /api/admin/blocks lists them, DELETE /api/admin/blocks/ADDRESS lifts one.',
        ], { w: 6, links: [blockLogs, runbook('AddressBlockSurge')] }),
        series('Blocks a minute, by reason', 'short', { '{{reason}}': '60 * sum by (reason) (rate(signalbox_blocks_total{@}[@]))' }, [
          'Addresses that were blocked. strikes: BLOCK_AFTER (5) strikes in 10 minutes. refreshes: over 120 wishes for a new token in a minute.',
          '0. Ten in 15 minutes make a ticket.',
          'strikes: an attack, or all clients come with tokens that we do not know; open the runbook. refreshes: a client in a loop.',
        ], { w: 6, draw: 'bars', colors: { strikes: 'red', refreshes: 'orange' }, links: [runbook('AddressBlockSurge'), blockLogs] }),
        series('Strikes', 'ops', { '{{instance}}': rate('signalbox_strikes_total{@}', 'instance') }, [
          'Chat clients that came with a forged token, another’s name, another application, or a refresh token that is not theirs.',
          'near 0.',
          'rising slowly: somebody tries. All at once: new keys, a new database, or a release of an application with a fault.',
        ], { w: 6, draw: 'bars', links: [runbook('AddressBlockSurge'), refusedFlows] }),
        series('Turned away as blocked', 'ops', {
          handshakes: rate('signalbox_handshakes_total{@, result="blocked"}'),
          'HTTP requests': rate('signalbox_rejected_total{@, reason="blocked"}'),
          'sockets closed': rate('signalbox_disconnects_total{@, reason="blocked"}'),
        }, [
          'What blocks cost: connections that were not let in, pages and requests answered with 403, sockets that were closed when the block began.',
          '0, or what one client in a loop makes.',
          'many from few addresses: an office behind one address, or our own proxy; is TRUSTED_PROXY_HOPS right?',
        ], { w: 6, draw: 'bars', links: [runbook('AddressBlockSurge'), blockLogs] }))),
    section('Who comes back, and to what?',
      line(8,
        series('Restores by result', 'ops', { '{{result}}': rate(`${RESTORES}{@}`, 'result') }, [
          'Clients that connect, by what was brought back. ok: all that was kept. expired: away for longer than a place in the line is. unknown: a first visit. gap: the place is lost before its time. error: our fault.',
          'ok, unknown and some expired. Peaks follow a network fault: everybody comes back.',
          'unknown leaping up while ok falls: what was kept is gone, did a node restart? expired up: long breaks, look at who hung up above.',
        ], { stack: true, colors: RESTORED, links: [restoreFlows, board('nodes')] }),
        series('Restores that lost something', 'ops', { '{{result}}': rate(`${RESTORES}{@, result=~"gap|error"}`, 'result') }, [
          'The gaps and errors alone. They spend error budget.',
          '0.',
          'error: open the failed flows. gap: open the runbook, and compare with who left the line on Signaling, queue, chat.',
        ], { draw: 'bars', colors: RESTORED, links: [failedFlows, runbook('RestoreBurn'), board('signaling')] }),
        series('A restore takes', 's', { 'half': quantile(0.5, RESTORE), '99 %': quantile(0.99, RESTORE) }, [
          'From the connection until everything is back, of those of whom something was kept. No event of the socket is handled before. A hole means that nobody came back.',
          'the 99 % line below 5 ms.',
          'above 25 ms: the node is busy; open Runtime and storage.',
        ], { links: [restoreFlows, board('runtime')] }),
        series('Devices that caught up', 'ops', { '{{result}}': rate('signalbox_reconnects_total{@}', 'result') }, [
          'Phones and monitors that came back to a scan session and said what they had seen. ok: they have everything now. gap: some of it is gone.',
          'ok only. Scans are kept for 24 hours, the last 500 of a session.',
          'gap: is the database away or new? Otherwise monitors were off for days; open Scan flow.',
        ], { stack: true, colors: RESTORED, links: [board('runtime'), board('scan-flow')] }))),
    section('Sessions and what is said in them',
      line(8,
        series('Scan sessions', 'short', { '{{state}}': 'sum by (state) (signalbox_scan_sessions{@})' }, [
          'paired: a phone and a monitor are connected. waiting: one of them is missing.',
          'mostly paired.',
          'waiting rising alone: devices lose their partner; which role fell above?',
        ], { stack: true, colors: { paired: 'green', waiting: 'orange' }, links: [board('scan-flow')] }),
        series('How long connections last', 's', {
          'a tenth ended before': quantile(0.1, DURATION), 'half ended before': quantile(0.5, DURATION), 'nine tenths ended before': quantile(0.9, DURATION),
        }, [
          'Duration of the connections that ended. A gap means that none ended.',
          'minutes to hours.',
          'a tenth under 5 s: some clients reconnect in a loop; open the log of connections.',
        ], { links: [connectionLogs] }),
        series('Rate limited', 'ops', { '{{layer}}': rate('signalbox_rate_limited_total{@}', 'layer') }, [
          'Requests over a limit: events of one socket, handshakes, HTTP requests, logins.',
          '0, or a few.',
          'one layer up: a client in a loop or a limit that is too low; the refused flows name the event.',
        ], { links: [refusedFlows] })),
      line(8,
        series('Events received', 'ops', { '{{event}}': rate('signalbox_events_received_total{@}', 'event') }, [
          'What clients ask for, by event. unknown is an event that does not exist.',
          'scanOrder, navigate:displayed and heartbeat lead; unknown 0.',
          'one event leaping up: a client in a loop. unknown: a client of another version.',
        ], { many: true, links: [refusedFlows] }),
        series('Events refused', 'ops', { '{{event}}': rate('signalbox_events_received_total{@, outcome="refused"}', 'event') }, [
          'What clients asked for and were refused: invalid, denied, limited. It costs no error budget.',
          'near 0.',
          'open the refused flows; their code says why.',
        ], { many: true, links: [refusedFlows] })),
      line(8,
        series('Events sent', 'ops', { '{{event}}': rate('signalbox_events_sent_total{@}', 'event') }, [
          'Packets handed to clients’ sockets, by event.',
          'navigate follows the scans, scan:displayed the monitors that acknowledge them.',
          'error rising: look at what was refused or failed beside it.',
        ], { many: true, links: [board('scan-flow')] }),
        series('Size of payloads', 'bytes', {
          'received, 99 % are below': quantile(0.99, 'signalbox_event_payload_bytes', { where: 'direction="in"' }),
          'sent, 99 % are below': quantile(0.99, 'signalbox_event_payload_bytes', { where: 'direction="out"' }),
        }, [
          'Size of what is said. Signals are larger than scans, pages of older messages larger than both.',
          'a few hundred bytes for scans, some kilobytes for offers, tens of them for pages of chat.',
          'growing towards the limits: PAYLOAD_TOO_LARGE comes next; find the event in the refused flows.',
        ], { links: [refusedFlows] }))),
  ],
};
