// Board 6: WebRTC signaling, from the join to the answer.
import { board, failedFlows, flows, refusedFlows } from '../links.mjs';
import { OUTCOMES, above, below, heatmap, line, section, series, stat } from '../panels.mjs';
import { count, objectives, quantile, rate } from '../promql.mjs';

const { signaling } = objectives;
const NEGOTIATION = 'signalbox_webrtc_negotiation_seconds';
const signals = (matchers, by) => rate(`signalbox_webrtc_signals_total{@${matchers}}`, by);
const joinFlows = flows('event=join', 'joins');

export default {
  uid: 'signalbox-signaling',
  title: 'Signaling: do peers find each other?',
  description: 'A peer joins a room, offers, is answered, and both exchange ICE candidates. What follows goes from peer to peer and is not seen here.',
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
          'Share of the signals in the time shown that did not fail through our fault.',
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
        ], { limits: above(5, 15), noValue: 'no answers', links: [joinFlows] }))),
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
          'Peers that enter and leave rooms. A peer that disconnects leaves without this event.',
          'as many come as go.',
          'joins far above leaves: peers that come back again and again; open Connections.',
        ], { links: [board('connections'), joinFlows] }),
        series('Joining refused or failed', 'ops', { '{{event}} {{outcome}}': rate('signalbox_events_received_total{@, event=~"join|join-room|create-room|leave", outcome!="ok"}', 'event, outcome') }, [
          'refused: the room is full, missing or invalid. failed: ours.',
          '0, or a few refused.',
          'failed: open the failed flows. refused: their code says why.',
        ], { draw: 'bars', many: true, links: [failedFlows, refusedFlows] }),
        series('Rooms', 'short', { exist: 'sum(signaling_active_rooms{@})', 'created a minute': '60 * sum(rate(signaling_rooms_created_total{@}[@]))' }, [
          'Rooms that exist, and how many are created in a minute.',
          'both follow the use. A room closes 30 s after its last peer left.',
          'created leaping up: a client creates rooms in a loop; see Rate limited on Connections.',
        ], { links: [board('connections')] }))),
  ],
};
