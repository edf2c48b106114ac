// Board 6: WebRTC signaling, from the join to the answer; the waiting line, from joining it to a seat; chat, from saying it to the assistant's answer.
import { board, failedFlows, flows, logs, refusedFlows, runbook, traces } from '../links.mjs';
import { OUTCOMES, above, below, heatmap, line, section, series, stat, states, words } from '../panels.mjs';
import { count, objectives, quantile, rate } from '../promql.mjs';

const { signaling } = objectives;
const NEGOTIATION = 'signalbox_webrtc_negotiation_seconds';
const signals = (matchers, by) => rate(`signalbox_webrtc_signals_total{@${matchers}}`, by);
const joinFlows = flows('event=join', 'joins');

const WAIT = 'signalbox_queue_wait_seconds';
const SELECTIONS = 'signalbox_seat_selections_total';
const TICKETING = 'event=~"join-event|leave-event|join-queue|leave-queue|queue:heartbeat|join-seat-selection|select-seat|release-seat|seat-selection-changed"';
const lineFlows = flows('event=join-queue', 'joining the line');
const seatFlows = flows('event=select-seat', 'seats selected');

const MESSAGES = 'signalbox_chat_messages_total';
const CHAT = 'event=~"syncRooms|message|editMessage|loadMoreMessages_for_room|deleteroom|refreshToken"';
const KEEPING = 'op=~"say|chat"';
const messageFlows = flows('event=message', 'messages');
const storeLogs = logs('target=~"signalbox::store.*"', 'the store');

const ASKS = 'signalbox_gpt_requests_total';
const ANSWER = 'signalbox_gpt_seconds';
const TOKENS = 'signalbox_gpt_tokens_total';
const BREAKER = words({ 0: 'closed', 1: 'open' }, { 0: 'green', 1: 'red' });
const answerTraces = traces('name = "answer gpt"', 'answers of the assistant');
const gptLogs = logs('target="signalbox::assistant"', 'questions without an answer');

export default {
  uid: 'signalbox-signaling',
  title: 'Signaling, queue, chat: do peers find each other, are people let in and heard?',
  description: 'A peer joins a room, offers, is answered, and both exchange ICE candidates. What follows goes from peer to peer and is not seen here. People wait in line for an event, are let in, and select seats. They write to each other in chat rooms, and ask the assistant there.',
  sections: [
    section(null,
      line(4,
        stat('Rooms now', 'short', 'sum(signaling_active_rooms{@})', [
          'Signaling rooms that exist now.',
          'follows the use. A rise without peers: rooms are not closed.',
          'compare with the peers beside it.',
        ], { spark: true, decimals: 0, links: [joinFlows] }),
        stat('Peers connected', 'short', 'sum(signalbox_connections{@, role="peer"})', [
          'Clients that take part in signaling.',
          'two or more for each room.',
          'falling: open Connections.',
        ], { spark: true, decimals: 0, links: [board('connections')] }),
        stat('Relayed', 'percentunit', `1 - ${signaling.failed(count)} / ${signaling.total(count)}`, [
          'Share of the signals and chat messages in the time shown that did not fail through our fault.',
          '100 %; the objective is 99.5 %.',
          'open the failed flows.',
        ], { decimals: 2, limits: below(0.995, 0.999), noValue: 'no signals', links: [failedFlows, board('objectives')] }),
        stat('Answers for each offer', 'percentunit', `${count('signalbox_webrtc_signals_total{@, kind="answer", outcome="ok"}')} / ${count('signalbox_webrtc_signals_total{@, kind="offer", outcome="ok"}')}`, [
          'Relayed answers as a share of relayed offers, in the time shown.',
          'near 100 %.',
          'low: peers get offers and do not answer; their application or their camera permission.',
        ], { decimals: 0, limits: below(0.5, 0.8), noValue: 'no offers', links: [flows('event=offer', 'offers')] }),
        stat('Half are answered within', 's', quantile(0.5, NEGOTIATION, { overRange: true }), [
          'Median time from a peer’s join to the first answer it gives, in the time shown.',
          'below 1 s.',
          'slow for all: the clients wait for something; slow for few: their devices.',
        ], { limits: above(1, 5), noValue: 'no answers', links: [joinFlows] }),
        stat('Slowest 5 % wait', 's', quantile(0.95, NEGOTIATION, { overRange: true }), [
          '95 of 100 negotiations in the time shown took less than this.',
          'below 5 s.',
          'look at the heatmap below: one tail or a second band?',
        ], { limits: above(5, 15), noValue: 'no answers', links: [joinFlows] })),
      line(4,
        stat('People waiting', 'short', 'sum(signalbox_queue_waiting{@})', [
          'People in the lines of all events, now.',
          '0, and as many as like when a sale begins.',
          'growing: compare with those who are let in.',
        ], { spark: true, decimals: 0, links: [lineFlows] }),
        stat('Slots in use', 'short', 'sum(signalbox_queue_active{@})', [
          'People who were let in and have not left. Their slot ends by itself when nothing is heard of them for QUEUE_LEASE.',
          'at the limits of the events while people wait.',
          'falling while people wait: nobody is let in; see the slots left empty.',
        ], { spark: true, decimals: 0, links: [lineFlows] }),
        stat('Slots left empty', 'short', 'sum(min_over_time(signalbox_queue_free{@}[@]))', [
          'Free slots of events that have a line: as many as were free for the whole rate interval.',
          '0: a slot is given to the next one within a second.',
          'above 0: the line stands still; open the runbook.',
        ], { decimals: 0, limits: above(1), links: [runbook('QueueStalled'), board('nodes')] }),
        stat('Let in, per second', 'ops', rate('signalbox_queue_admitted_total{@}'), [
          'People who got a slot, each second, from the line or at once.',
          'as many as leave, while people wait.',
          '0 while people wait: are all slots in use, or does the line stand still?',
        ], { spark: true, links: [runbook('QueueStalled'), lineFlows] }),
        stat('Half are let in within', 's', quantile(0.5, WAIT, { overRange: true }), [
          'Median time from joining the line to being let in, of those who were let in in the time shown.',
          'below a minute, and longer when a sale begins. An hour means that or longer.',
          'long: more people than slots; an admin can raise the limit of the event.',
        ], { noValue: 'nobody was', links: [lineFlows] }),
        stat('Selections in conflict', 'percentunit', `${count(`${SELECTIONS}{@, result="conflict"}`)} / ${count(`${SELECTIONS}{@}`)}`, [
          'Share of the selections of seats in the time shown that somebody else had been faster at, or whose seat was sold.',
          'below 25 %; higher when few seats are left.',
          'above 50 %: clients show seats as free that are not; open the runbook.',
        ], { decimals: 1, limits: above(0.25, 0.5), noValue: 'no selections', links: [runbook('SeatConflictsHigh'), seatFlows] })),
      line(4,
        stat('People in chat', 'short', 'sum(signalbox_connections{@, role="chat"})', [
          'Connected clients that have joined a chat room or asked what is new in theirs.',
          'follows the use.',
          'falling: open Connections; are addresses blocked there?',
        ], { spark: true, decimals: 0, links: [board('connections'), messageFlows] }),
        stat('Messages, a minute', 'short', `60 * ${rate(`${MESSAGES}{@, outcome="new"}`)}`, [
          'Messages that people and the assistant wrote and that were kept, each minute.',
          'follows the use.',
          '0 while people are in chat: see what was refused or failed below.',
        ], { spark: true, decimals: 1, links: [messageFlows] }),
        stat('Chat kept and read', 'percentunit', `1 - ${count(`signalbox_store_operations_total{@, ${KEEPING}, result!="ok"}`)} / ${count(`signalbox_store_operations_total{@, ${KEEPING}}`)}`, [
          'Share of what chat asked of the database in the time shown that it did. While the database is known to be away it is not asked, and chat is refused.',
          '100 %. What is missing are messages that could not be sent and rooms that could not be read.',
          'look at the database on Runtime and storage.',
        ], { decimals: 2, limits: below(0.995, 0.999), noValue: 'nobody chats', links: [board('runtime'), runbook('StoreDown'), storeLogs] }),
        stat('Questions answered', 'percentunit', `${count(`${ASKS}{@, outcome="ok"}`)} / ${count(`${ASKS}{@, outcome!="cancelled"}`)}`, [
          'Share of the questions to the assistant in the time shown that it answered. Those of rooms that were deleted meanwhile are not counted.',
          'above 95 %.',
          'see below whether they were refused, because too many wait or the breaker is open, or failed at the endpoint.',
        ], { decimals: 1, limits: below(0.8, 0.95), noValue: 'nobody asked', links: [runbook('GptBreakerOpen'), gptLogs] }),
        stat('Questions waiting', 'short', 'sum(signalbox_gpt_queue_depth{@})', [
          'Questions to the assistant that nobody works at yet, over all nodes.',
          '0, or a few for some seconds. A node refuses further ones at GPT_QUEUE_MAX (100).',
          'growing: answers take too long, or more people ask than GPT_CONCURRENCY can serve; open the runbook.',
        ], { spark: true, decimals: 0, limits: above(20, 100), links: [runbook('GptQueueBacklog')] }),
        stat('Breaker of the assistant', 'short', 'max(signalbox_gpt_breaker_open{@})', [
          'Open on any node: five questions in a row failed there, and all are refused for GPT_BREAKER_PAUSE. Then the next one is let through, and decides.',
          'closed.',
          'open: the endpoint at GPT_BASE_URL is away, slow, or does not accept our key; open the runbook.',
        ], { mappings: BREAKER, limits: above(1), links: [runbook('GptBreakerOpen'), gptLogs] }))),
    section('Signals',
      line(8,
        series('Signals relayed, by kind', 'ops', { '{{kind}}': signals(', outcome="ok"', 'kind') }, [
          'Offers, answers and ICE candidates that reached their peer.',
          'offers and answers alike, several candidates for each.',
          'offers without answers: see the answers for each offer above.',
        ], { links: [flows('event=offer', 'offers')] }),
        series('Signals that failed, by kind', 'ops', { '{{kind}}': signals(', outcome="failed"', 'kind') }, [
          'Signals that were lost through our fault. They spend error budget.',
          '0.',
          'open the failed flows of this time.',
        ], { draw: 'bars', links: [failedFlows, board('objectives')] }),
        series('Signals by outcome', 'ops', { '{{outcome}}': signals('', 'outcome') }, [
          'refused: no such peer in a common room, too large, or too many. failed: ours.',
          'nearly all ok.',
          'refused rising: peers signal to somebody who has left; open the refused flows.',
        ], { stack: true, colors: OUTCOMES, links: [refusedFlows, failedFlows] }))),
    section('Finding each other',
      line(9,
        heatmap('From join to the first answer', 's', `sum by (le) (increase(${NEGOTIATION}_bucket{@}[@]))`, [
          'How many negotiations took how long, over time: the stronger the colour, the more.',
          'one band below 1 s.',
          'a band at 30 s: peers that only answer after a retry; open the flows of joins.',
        ], { links: [joinFlows] }),
        series('Half, and the slowest 5 %', 's', {
          'half': quantile(0.5, NEGOTIATION), '95 %': quantile(0.95, NEGOTIATION),
        }, [
          'The same as lines. A gap means that nobody answered.',
          'half below 1 s.',
          'rising with the relay below: us. Rising alone: the clients.',
        ], { links: [joinFlows] })),
      line(8,
        series('Relaying one signal, slowest 1 %', 's', { '{{event}}': quantile(0.99, 'signalbox_event_handle_duration_seconds', { by: 'event', where: 'event=~"offer|answer|ice-candidate"' }) }, [
          'From the signal’s turn to its answer: our part of the negotiation.',
          'below 1 ms.',
          'above 25 ms: open Runtime and storage.',
        ], { links: [board('runtime')] }),
        series('Candidates for each offer', 'short', {
          candidates: `${signals(', kind="ice-candidate"')} / ${signals(', kind="offer"')}`,
        }, [
          'ICE candidates that peers send for each offer.',
          'between 4 and 20.',
          'near 0: clients gather none, a firewall or a wrong STUN setting.',
        ], { links: [flows('event=ice-candidate', 'candidates')] }))),
    section('Rooms',
      line(8,
        series('Joining and leaving', 'ops', { '{{event}}': rate('signalbox_events_received_total{@, event=~"join|join-room|create-room|leave", outcome="ok"}', 'event') }, [
          'Peers that enter and leave rooms, and people who begin and cease to hear a chat room. Who disconnects leaves without this event.',
          'as many come as go.',
          'joins far above leaves: peers that come back again and again; open Connections.',
        ], { links: [board('connections'), joinFlows] }),
        series('Joining refused or failed', 'ops', { '{{event}} {{outcome}}': rate('signalbox_events_received_total{@, event=~"join|join-room|create-room|leave", outcome!="ok"}', 'event, outcome') }, [
          'refused: the room is full, missing, invalid, or of others. failed: ours.',
          '0, or a few refused.',
          'failed: open the failed flows. refused: their code says why.',
        ], { draw: 'bars', many: true, links: [failedFlows, refusedFlows] }),
        series('Rooms', 'short', { exist: 'sum(signaling_active_rooms{@})', 'created a minute': '60 * sum(rate(signaling_rooms_created_total{@}[@]))' }, [
          'Rooms that exist, and how many are created in a minute.',
          'both follow the use. A room closes 30 s after its last peer left.',
          'created leaping up: a client creates rooms in a loop; see Rate limited on Connections.',
        ], { links: [board('connections')] }))),
    section('Waiting line',
      line(8,
        series('Waiting, in, and free', 'short', {
          'people waiting': 'sum(signalbox_queue_waiting{@})', 'slots in use': 'sum(signalbox_queue_active{@})', 'free slots of events with a line': 'sum(signalbox_queue_free{@})',
        }, [
          'The line and the slots of all events. Somebody from the line is let in every second for as long as a slot is free.',
          'free near 0 while people wait.',
          'free staying up: the line stands still; open the runbook. Waiting up, in use steady: more people than slots.',
        ], { colors: { 'people waiting': 'orange', 'slots in use': 'green', 'free slots of events with a line': 'red' }, links: [runbook('QueueStalled'), lineFlows] }),
        series('Let in, and out of the line', 'ops', {
          'let in': rate('signalbox_queue_admitted_total{@}'), '{{reason}}': rate('signalbox_queue_left_total{@}', 'reason'),
        }, [
          'People who were let in, and those who left the line or their slot otherwise. left: they said so. vanished: they were away for too long. cleared: an admin emptied the line.',
          'let in follows the slots that become free; vanished near 0.',
          'vanished up: people lose their connection, open Connections. cleared: ask who did it.',
        ], { colors: { 'let in': 'green', left: 'blue', vanished: 'orange', cleared: 'purple' }, links: [board('connections'), lineFlows] })),
      line(9,
        heatmap('From joining the line to being let in', 's', `sum by (le) (increase(${WAIT}_bucket{@}[@]))`, [
          'How many people waited how long, over time: the stronger the colour, the more.',
          'one band that rises with the line. Whoever is let in at once is in the lowest.',
          'a band at the top: people who wait for an hour and longer; who gives up is in the panel above.',
        ], { links: [lineFlows] }),
        series('The wait: half, and the slowest 5 %', 's', { 'half': quantile(0.5, WAIT), '95 %': quantile(0.95, WAIT) }, [
          'The same as lines. A gap means that nobody was let in.',
          'both alike: the line is first come, first served.',
          'far apart: events of very different lines.',
        ], { links: [lineFlows] }))),
    section('Seats',
      line(8,
        series('Seats held', 'short', { held: 'sum(signalbox_seats_held{@})', 'ended by time, a minute': '60 * sum(rate(signalbox_seats_expired_total{@}[@]))' }, [
          'Seats that people have selected, and holds that ended because nothing came of them for SEAT_HOLD.',
          'both follow the sale.',
          'nearly all ended by time: people select and cannot buy; ask for the shop behind it.',
        ], { colors: { held: 'green', 'ended by time, a minute': 'orange' }, links: [seatFlows] }),
        series('Selections by result', 'ops', { '{{result}}': rate(`${SELECTIONS}{@}`, 'result') }, [
          'Seats that people asked for. conflict: another one has it, or it is sold. refused: too many seats, not on the map, or not let in yet.',
          'mostly held.',
          'conflict up: see its share. refused up: open the refused flows; their code says why.',
        ], { stack: true, colors: { held: 'green', conflict: 'orange', refused: 'purple' }, links: [refusedFlows, seatFlows] }),
        series('Share of conflicts', 'percentunit', { conflict: `${rate(`${SELECTIONS}{@, result="conflict"}`)} / ${rate(`${SELECTIONS}{@}`)}` }, [
          'Selections that ended in a conflict, of all selections. A gap means that there were none.',
          'below 25 %; above the dashed line of 50 % for long it is a ticket.',
          'at the end of a sale: few seats are left. Otherwise clients do not hear what is taken; open the runbook.',
        ], { max: 1, colors: { conflict: 'orange' }, limits: above(0.5), links: [runbook('SeatConflictsHigh'), refusedFlows] })),
      line(8,
        series('Queue and seat events refused or failed', 'ops', { '{{event}} {{outcome}}': rate(`signalbox_events_received_total{@, ${TICKETING}, outcome!="ok"}`, 'event, outcome') }, [
          'What people asked for in vain. refused: a conflict, a limit, not let in. failed: ours.',
          'select-seat refused as often as there are conflicts; failed 0.',
          'failed: open the failed flows. refused: their code says why.',
        ], { draw: 'bars', many: true, links: [failedFlows, refusedFlows] }),
        series('Handling one of these events, slowest 1 %', 's', { '{{event}}': quantile(0.99, 'signalbox_event_handle_duration_seconds', { by: 'event', where: TICKETING }) }, [
          'From the event’s turn to its answer.',
          'below 1 ms.',
          'above 25 ms: open Runtime and storage.',
        ], { many: true, links: [board('runtime')] }))),
    section('Chat',
      line(8,
        series('Messages by outcome', 'ops', { '{{outcome}}': rate(`${MESSAGES}{@}`, 'outcome') }, [
          'new: kept and sent to the room. again: its client had heard nothing and sent it again; nobody is sent it twice. edited: its author changed it.',
          'mostly new.',
          'again rising: answers are late or get lost; see the handling below, then who hung up on Connections.',
        ], { stack: true, colors: { new: 'green', again: 'orange', edited: 'blue' }, links: [messageFlows, board('connections')] }),
        series('Chat events refused or failed', 'ops', { '{{event}} {{outcome}}': rate(`signalbox_events_received_total{@, ${CHAT}, outcome!="ok"}`, 'event, outcome') }, [
          'What people in chat asked for in vain. refused: not in the room, too long, the assistant is busy. failed: ours. message is also the envelope of WebRTC signals.',
          'a few refused; failed 0.',
          'failed: open the failed flows; is the database away? refused: their code says why.',
        ], { draw: 'bars', many: true, links: [failedFlows, refusedFlows, board('runtime')] }),
        series('Handling a chat event, slowest 1 %', 's', { '{{event}}': quantile(0.99, 'signalbox_event_handle_duration_seconds', { by: 'event', where: CHAT }) }, [
          'From the event’s turn to its answer. It waits for the database, and for the messages before it in its room.',
          'below 50 ms.',
          'one event: its query beside the database’s other work. All: open Runtime and storage.',
        ], { many: true, links: [board('runtime'), messageFlows] })),
      line(8,
        series('People in chat, by transport', 'short', { '{{transport}}': 'sum by (transport) (signalbox_connections{@, role="chat"})' }, [
          'Connected clients that have joined a chat room or asked what is new in theirs.',
          'follows the use; nearly all WebSocket.',
          'a sudden fall: the network, us, or their addresses are blocked; open Connections.',
        ], { stack: true, colors: { websocket: 'green', polling: 'orange' }, links: [board('connections')] }),
        series('Chat in the database, slowest 1 %', 's', { '{{op}}': quantile(0.99, 'signalbox_store_operation_seconds', { by: 'op', where: KEEPING }) }, [
          'say writes messages, edits and who takes part. chat reads rooms and messages. A gap means that there were none.',
          'below 50 ms; above the dashed line of 250 ms for long it is a ticket.',
          'both: the disk or the database server. chat alone: somebody reads much; open the runbook.',
        ], { limits: above(0.25), links: [runbook('ChatStoreSlow'), board('runtime'), storeLogs] }),
        series('Chat in the database, what did not work', 'ops', { '{{op}} {{result}}': rate(`signalbox_store_operations_total{@, ${KEEPING}, result!="ok"}`, 'op, result') }, [
          'Operations of chat that failed. timeout: it took longer than STORE_TIMEOUT. error: the database refused, or is away.',
          '0.',
          'say: messages are refused, clients send them again. chat: rooms stay empty. Open the runbook.',
        ], { draw: 'bars', links: [runbook('StoreDown'), runbook('ChatStoreSlow'), storeLogs] }))),
    section('The assistant in chat',
      line(8,
        series('Questions by outcome', 'ops', { '{{outcome}}': rate(`${ASKS}{@}`, 'outcome') }, [
          'What people asked the assistant. refused: too many wait, or the breaker is open; nothing was kept. failed: given up, the room was told. cancelled: the room was deleted.',
          'nearly all ok.',
          'refused: is the queue full, or the breaker open? failed: the log says why, as reason.',
        ], { stack: true, colors: { ...OUTCOMES, cancelled: 'blue' }, links: [runbook('GptQueueBacklog'), runbook('GptBreakerOpen'), gptLogs] }),
        series('Questions waiting and worked at', 'short', {
          waiting: 'sum(signalbox_gpt_queue_depth{@})', 'worked at': 'sum(signalbox_gpt_running{@})',
        }, [
          'Questions in the queues of all nodes, and those that an answer is being made for. A node works at GPT_CONCURRENCY (2) at a time.',
          'waiting near 0.',
          'waiting up while worked at is at its most: answers are slow, or too many ask; open the runbook.',
        ], { colors: { waiting: 'orange', 'worked at': 'green' }, links: [runbook('GptQueueBacklog')] }),
        states('Breaker of the assistant, by node', { '{{instance}}': 'max by (instance) (signalbox_gpt_breaker_open{@})' }, [
          'Red while the breaker is open: for GPT_BREAKER_PAUSE after five failures in a row, and again each time that the question which is let through fails.',
          'green.',
          'red on all nodes: the endpoint. On one: its way to it, or its settings.',
        ], { limits: above(1), mappings: BREAKER, links: [runbook('GptBreakerOpen'), gptLogs] })),
      line(9,
        heatmap('Time to an answer', 's', `sum by (le) (increase(${ANSWER}_bucket{@}[@]))`, [
          'How many answers came how long after their question, waiting and tries included: the stronger the colour, the more.',
          'one band between 1 and 10 s.',
          'a band at the top: do questions wait, are they tried again, or is the model slow? A trace shows which.',
        ], { links: [answerTraces, runbook('GptQueueBacklog')] }),
        series('An answer: half, and the slowest 5 %', 's', { half: quantile(0.5, ANSWER), '95 %': quantile(0.95, ANSWER) }, [
          'The same as lines. A gap means that nothing was answered. A minute means that or longer.',
          'half below 10 s.',
          'rising with those that wait: too many ask. Rising alone: the endpoint slows down.',
        ], { links: [answerTraces, runbook('GptQueueBacklog')] }),
        series('Tries that were made again', 'ops', { '{{instance}}': rate('signalbox_gpt_retries_total{@}', 'instance') }, [
          'Tries after the first one: the endpoint was overloaded, away, silent, or broke off.',
          'near 0.',
          'rising: the endpoint asks for less (429) or is unwell (5xx); lower GPT_CONCURRENCY, or ask its operator.',
        ], { draw: 'bars', links: [runbook('GptBreakerOpen'), gptLogs] }),
        series('Tokens, a minute', 'short', { '{{direction}}': `60 * ${rate(`${TOKENS}{@}`, 'direction')}` }, [
          'What the endpoint says that it read (in) and wrote (out). It is what it charges for.',
          'in follows the questions and GPT_HISTORY_BYTES, out the answers.',
          'leaping up: who asks so much? 0 with answers: the endpoint does not say.',
        ], { colors: { in: 'blue', out: 'green' }, links: [messageFlows] }))),
  ],
};
