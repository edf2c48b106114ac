// The call page: a room, one's own camera and microphone, everybody else in it, and a chat.
import { connect } from '@signalbox/client';
import { keepAwake } from './awake';
import { enter, type Kind, type Line, type Mesh, type Peer } from './mesh';
import { account, banner, begin, config, element, make, remembered, say, tokens } from './page';
import { qrCode } from './qr';

const ROOM = /^[A-Za-z0-9_-]{3,100}$/;
const KINDS: readonly Kind[] = ['audio', 'video'];

begin();
const room = findRoom();
const token = tokens({ guests: config.guests });
const link = connect({ token });
banner(link);

const name = element<HTMLInputElement>('name');
const known = remembered<string>('signalbox.name');
name.value = known.get() ?? account.user?.username ?? '';

// --- the room

/** The room of the address, as `?room=` so that it outlives a visit to the sign-in page; a new one where there is none. */
function findRoom(): string {
  const here = new URL(location.href);
  const found = here.hash.slice(1) || here.searchParams.get('room') || newRoom();
  here.hash = '';
  here.searchParams.set('room', found);
  history.replaceState(null, '', here);
  return found;
}

/** Nearly sixty bits: nobody guesses it, and it can be read out. */
function newRoom(): string {
  const letters = '23456789abcdefghjkmnpqrstuvwxyz'; // no 0 and o, no 1, i and l
  const random = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => letters[byte % letters.length]).join('');
  return random.replace(/(....)(?=.)/g, '$1-');
}

function invite(): void {
  const address = `${config.origin ?? location.origin}/call?room=${encodeURIComponent(room)}`;
  const field = element<HTMLInputElement>('link');
  const copy = element('copy');
  element('room').textContent = room;
  field.value = address;
  const qr = element('qr');
  qr.dataset.url = address;
  qr.replaceChildren(qrCode(address));
  field.onfocus = () => field.select();
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(address);
      copy.textContent = say('callCopied');
    } catch {
      field.select(); // not allowed, or no clipboard without https: the keyboard can do it
    }
  };
}

// --- camera and microphone

const tracks: Record<Kind, MediaStreamTrack | null> = { audio: null, video: null };
/** Why there is none: the name of the browser's error. */
const missing: Record<Kind, string | null> = { audio: null, video: null };
const sends = (kind: Kind) => (tracks[kind]?.enabled ? tracks[kind] : null);

/** Asks for all of them at once, so that the person is asked once; for each alone where not all can be had. */
async function turnOn(...kinds: Kind[]): Promise<void> {
  const [kind] = kinds;
  try {
    const stream = await navigator.mediaDevices.getUserMedia(Object.fromEntries(kinds.map((each) => [each, true])));
    stream.getTracks().forEach((track) => hold(track.kind as Kind, track));
  } catch (error) {
    if (kinds.length > 1) return void (await Promise.all(kinds.map((each) => turnOn(each))));
    if (kind) missing[kind] = isSecureContext ? (error as Error).name : 'Insecure';
    showOwn();
  }
}

function hold(kind: Kind, track: MediaStreamTrack | null): void {
  if (tracks[kind] !== track) tracks[kind]?.stop();
  tracks[kind] = track;
  missing[kind] = null;
  // Unplugged, or taken back by the person.
  if (track) track.onended = () => hold(kind, null);
  mesh?.send(kind, sends(kind));
  showOwn();
}

function toggle(kind: Kind): void {
  const track = tracks[kind];
  if (!track) return void turnOn(kind);
  // The camera's light goes off; the microphone stays ready, so that no first word is lost.
  if (kind === 'video') return hold(kind, null);
  track.enabled = !track.enabled;
  hold(kind, track);
}

function showOwn(): void {
  for (const kind of KINDS) {
    element(kind).textContent = say(sends(kind) ? `callOff_${kind}` : `callOn_${kind}`);
  }
  const self = element('self');
  const video = self.querySelector('video')!;
  if (video.srcObject instanceof MediaStream ? video.srcObject.getTracks()[0] !== tracks.video : tracks.video) {
    video.srcObject = tracks.video && new MediaStream([tracks.video]);
  }
  self.dataset.video = String(tracks.video !== null);
  self.dataset.initial = say('callYou').slice(0, 1);
  const notes = KINDS.filter((kind) => missing[kind]).map((kind) => say(missingText(missing[kind]!, kind)));
  if (tracks.audio && !sends('audio')) notes.push(say('callMuted'));
  self.querySelector('small')!.textContent = [...new Set(notes)].join(', ');
}

function missingText(error: string, kind: Kind) {
  if (error === 'NotAllowedError') return `callDenied_${kind}` as const;
  if (error === 'Insecure') return 'callInsecure' as const;
  return error === 'NotFoundError' ? `callNone_${kind}` as const : `callBroken_${kind}` as const;
}

// --- the call

let mesh: Mesh | null = null;

/** Where to find a way through NAT; without any, peers on one network still meet. */
async function iceServers(): Promise<RTCIceServer[]> {
  try {
    const bearer = await token('connect');
    const response = await fetch('/api/ice-servers', { headers: bearer ? { authorization: `Bearer ${bearer}` } : {} });
    return response.ok ? (await response.json()).iceServers : [];
  } catch {
    return [];
  }
}

function join(): void {
  known.set(name.value.trim());
  mesh = enter(link, { roomId: room, name: name.value.trim(), tracks: { audio: sends('audio'), video: sends('video') }, iceServers });
  mesh.subscribe(show);
  element('note').hidden = true;
  element('chat').replaceChildren();
  show();
  element('audio').focus();
}

function leave(): void {
  mesh?.leave();
  mesh = null;
  show();
  element('join').focus();
}

function show(): void {
  const problem = mesh?.problem;
  if (problem) {
    const note = element('note');
    note.textContent = problem.code === 'ROOM_FULL' ? say('callFull') : say('callRefused', problem.message);
    note.hidden = false;
    return leave();
  }
  element('enter').hidden = mesh !== null;
  element('leave').hidden = mesh === null;
  element('talk').hidden = mesh === null;
  const peers = mesh?.peers ?? [];
  showPeers(peers);
  if (mesh?.state === 'joining') element('who').textContent = say('callJoining');
  else if (mesh) element('who').textContent = peers.length === 0 ? say('callAlone') : say('callOthers', peers.length);
  else element('who').textContent = '';
  if (mesh) showLines(mesh.lines);
}

const tiles = new Map<string, HTMLElement>();

function showPeers(peers: readonly Peer[]): void {
  for (const [id, tile] of tiles) {
    if (peers.some((peer) => peer.id === id)) continue;
    tile.remove();
    tiles.delete(id);
  }
  for (const peer of peers) {
    let tile = tiles.get(peer.id);
    if (!tile) {
      const video = make('video', { autoplay: true, playsInline: true, srcObject: peer.stream });
      tile = make('figure', { className: 'tile' }, video, make('figcaption', {}, make('span'), make('small')));
      tile.dataset.peer = peer.id;
      tiles.set(peer.id, tile);
      element('peers').append(tile);
    }
    const called = peer.name || say('callSomebody');
    tile.dataset.state = peer.state;
    tile.dataset.video = String(peer.sends.video);
    tile.dataset.initial = called.slice(0, 1);
    tile.querySelector('span')!.textContent = called;
    tile.querySelector('small')!.textContent = peerNote(peer);
  }
}

function peerNote({ state, sends: sent }: Peer): string {
  if (state === 'disconnected' || state === 'failed') return say('callBack');
  if (state !== 'connected') return say('callConnecting');
  return sent.audio ? '' : say('callMuted');
}

function showLines(lines: readonly Line[]): void {
  const chat = element('chat');
  const news = lines.slice(chat.childElementCount);
  const by = ({ own, name: called }: Line) => (own ? say('callYou') : called || say('callSomebody'));
  chat.append(...news.map((line) => make('li', {}, make('b', {}, by(line)), ` ${line.text}`)));
  const log = element('log');
  if (news.length > 0) log.scrollTop = log.scrollHeight;
}

// --- what the person does

addEventListener('hashchange', () => location.reload());
for (const kind of KINDS) element(kind).onclick = () => toggle(kind);
element('leave').onclick = leave;
const form = element<HTMLFormElement>('enter');
form.addEventListener('submit', keepAwake, { once: true });
form.addEventListener('submit', (event) => {
  event.preventDefault();
  join();
});
element<HTMLFormElement>('chat-form').onsubmit = (event) => {
  event.preventDefault();
  const input = element<HTMLInputElement>('chat-input');
  const text = input.value.trim();
  if (text) mesh?.say(text);
  input.value = '';
};

showOwn();
if (ROOM.test(room)) {
  invite();
  void turnOn('audio', 'video');
} else {
  const note = element('note');
  note.replaceChildren(make('span', {}, say('callNoRoom')), make('a', { href: '/call' }, say('callNewRoom')));
  note.hidden = false;
  element('side').hidden = true;
}
