// The phone: pairs with a monitor, scans with its camera or by hand, and shows what became of each scan.
import { connect, createScanner, SignalboxError, type Link, type ScanEntry, type Scanner, type TokenSource } from '@signalbox/client';
import { keepAwake } from './awake';
import { keep } from './keep';
import { createCamera, type CameraTrouble } from './camera';
import { account, address, banner, begin, config, element, loginPage, make, remembered, say, sure, tokens, write } from './page';
import { beep, prepareSound } from './sound';
import type { TextKey } from './text';
import { clock } from './time';

/** Where this phone belongs. With a token it is a guest of that session; without one it comes as who is signed in. */
interface Phone { sessionId: string; token?: string; expiresAt?: number }

const phone = remembered<Phone>('signalbox.phone');
const MARKS = { waiting: '…', accepted: '✓', displayed: '✓✓', refused: '✗' };
const HIT_MS = 600;

// --- pairing

type Invitation = { sessionId: string; pairingToken: string } | { pairingCode: string };

/** The invitation in a monitor's QR code, if it is one. Whatever host it names: the server that is asked is this page's. */
function invitationIn(text: string): Invitation | null {
  const asked = address(text)?.searchParams;
  const [sessionId, pairingToken] = [asked?.get('sid'), asked?.get('t')];
  return sessionId && pairingToken ? { sessionId, pairingToken } : null;
}

let pairing = false;

async function pair(invitation: Invitation): Promise<void> {
  if (pairing) return;
  pairing = true;
  note(say('pairing'), 'info');
  try {
    const response = await fetch('/api/pair', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(invitation),
    }).catch(() => null);
    if (!response) return note(say('pair_OFFLINE'));
    const answer = await response.json().catch(() => null);
    if (!response.ok || !answer) {
      const { code, message } = answer?.error ?? {};
      const known = ['INVALID_TOKEN', 'SID_MISMATCH', 'PAIRING_FAILED', 'RATE_LIMIT'].includes(code);
      return note(known ? say(`pair_${code}` as TextKey) : say('pair_OTHER', message ?? response.status));
    }
    note('');
    end();
    phone.set({ sessionId: answer.sessionId, token: answer.token, expiresAt: Date.now() + answer.expiresIn * 1000 });
    work(phone.get()!);
  } finally {
    pairing = false;
  }
}

function note(text: string, kind = 'bad'): void {
  element('pair-note').className = `note ${kind}`;
  element('pair-note').textContent = text;
  element('pair-note').hidden = text === '';
}

function showPairing(reason = ''): void {
  element('pair').hidden = false;
  element('work').hidden = true;
  element('state').textContent = element('banner').textContent = '';
  delete element('state').dataset.state;
  const named = config.development || account.user !== null;
  element('join-form').hidden = !named;
  element('sign-in').hidden = named;
  element<HTMLAnchorElement>('sign-in').href = loginPage();
  note(reason, 'info');
  drawCamera();
}

const digits = element<HTMLInputElement>('pair-code');
element('pair-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const pairingCode = digits.value.replace(/\D/g, '');
  if (pairingCode.length !== 6) return note(say('pair_PAIRING_FAILED'));
  void pair({ pairingCode });
});
element('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const sessionId = element<HTMLInputElement>('join-session').value.trim();
  if (!sessionId) return;
  phone.set({ sessionId });
  work({ sessionId });
});

// --- at work

interface Work { link: Link; scanner: Scanner }
let current: Work | null = null;

/** A guest's token cannot be renewed: its end is the end of the pairing. */
const guestToken = ({ token, expiresAt }: Phone): TokenSource => (why) => (why === 'connect' && expiresAt! > Date.now() ? token! : null);

function work(paired: Phone): void {
  const guest = paired.token !== undefined;
  const link = connect({
    token: guest ? guestToken(paired) : tokens(),
    onAuthFailure: () => guest && leave(say('pairEnded')),
  });
  const scanner = createScanner(link, { sessionId: paired.sessionId });
  current = { link, scanner };
  banner(link);
  element('pair').hidden = true;
  element('work').hidden = false;
  element('session').textContent = say('monitorSession', paired.sessionId);
  digits.value = '';
  newest = null;
  scanner.subscribe(drawWork);
  drawWork();
  if (!document.hidden) void startCamera();
}

/** Ends the connection; scans that wait stay in the outbox of their session. */
function end(): void {
  current?.scanner.close();
  current?.link.close();
  current = null;
  element('other').hidden = true;
}

function leave(reason = ''): void {
  end();
  phone.forget();
  camera.stop();
  showPairing(reason);
}

async function send(orderNo: string): Promise<boolean> {
  element('manual-trouble').textContent = '';
  try {
    await current!.scanner.scan(orderNo);
    return true;
  } catch (error) {
    const invalid = error instanceof SignalboxError && error.code === 'VALIDATION_ERROR';
    element('manual-trouble').textContent = invalid ? say('manualInvalid') : (error as Error).message;
    return false;
  }
}

const manual = element<HTMLInputElement>('manual');
element('manual-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = manual.value;
  if (await send(text) && manual.value === text) manual.value = '';
  manual.focus();
});

// --- what became of the scans

let newest: string | null = null;
const rows = new Map<string, { entry: ScanEntry; row: HTMLLIElement }>();

function drawWork(): void {
  if (!current) return;
  const { scanner } = current;
  if (scanner.unpaired) return leave(say('pairUnpaired'));
  const there = element('there');
  there.textContent = say(!scanner.status ? 'scanUnknown' : scanner.status.hasMonitor ? 'scanMonitor' : 'scanNoMonitor');
  there.className = `badge ${scanner.status?.hasMonitor ? 'ok' : 'watch'}`;

  const { entries } = scanner;
  const waiting = entries.filter(({ state }) => state === 'waiting').length;
  element('waiting').hidden = waiting === 0;
  element('waiting').textContent = say('outboxWaiting', waiting);
  element('outbox-empty').hidden = entries.length > 0;
  drawLast(entries[0]);

  const list = element('outbox');
  const nonces = new Set(entries.map(({ nonce }) => nonce));
  for (const [nonce, { row }] of rows) {
    if (nonces.has(nonce)) continue;
    row.remove();
    rows.delete(nonce);
  }
  // Rows that did not change stay as they are, and keep the focus.
  entries.forEach((entry, i) => {
    const known = rows.get(entry.nonce);
    const row = known?.entry === entry ? known.row : drawRow(entry);
    if (entry.state === 'refused' && known && known.entry.state !== 'refused') signal(false);
    if (known && known.row !== row) known.row.replaceWith(row);
    rows.set(entry.nonce, { entry, row });
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
}

/** The state in words, with what is worth knowing about it. */
function words(entry: ScanEntry): string {
  const parts = [say(`outbox_${entry.state}`)];
  if (entry.state === 'displayed' && entry.latencyMs !== undefined) parts.push(say('outboxLatency', Math.round(entry.latencyMs)));
  if (entry.state === 'accepted') {
    if (entry.durable === false) parts.push(say('outboxNotKept'));
    else if (entry.monitors === 0) parts.push(say('outboxNoMonitor'));
  }
  if (entry.error && entry.state === 'refused') {
    const known = ['VALIDATION_ERROR', 'PAYLOAD_TOO_LARGE', 'CONFLICT', 'FORBIDDEN', 'NOT_FOUND'].includes(entry.error.code);
    parts.push(known ? say(`refused_${entry.error.code}` as TextKey) : entry.error.message);
    if (entry.flow) parts.push(say('outboxFlow', entry.flow));
  }
  return parts.join(' · ');
}

/** The words beside it say the same. */
function mark({ state }: ScanEntry): HTMLElement {
  const tick = make('span', { className: 'tick', textContent: MARKS[state] });
  tick.setAttribute('aria-hidden', 'true');
  return tick;
}

function drawLast(entry?: ScanEntry): void {
  const last = element('last');
  last.hidden = !entry;
  if (!entry) return;
  const text = words(entry);
  const now = `${entry.nonce} ${text}`;
  if (newest === now) return;
  newest = now;
  last.dataset.state = entry.state;
  last.replaceChildren(mark(entry), make('span', { className: 'number', textContent: entry.orderNo }), make('span', { textContent: text }));
}

function drawRow(entry: ScanEntry): HTMLLIElement {
  const { nonce, orderNo, state } = entry;
  const button = (text: TextKey, label: TextKey, onclick: () => void) => {
    const made = make('button', { type: 'button', textContent: say(text), onclick });
    made.setAttribute('aria-label', say(label, orderNo));
    return made;
  };
  const row = make('li', {},
    mark(entry),
    make('span', { className: 'number', textContent: orderNo }),
    make('time', { dateTime: new Date(entry.ts).toISOString(), textContent: clock(entry.ts) }),
    make('small', { textContent: words(entry) }),
    state !== 'refused' ? '' : make('div', { className: 'row' },
      button('outboxRetry', 'outboxRetryLabel', () => current?.scanner.retry(nonce)),
      button('outboxDiscard', 'outboxDiscardLabel', () => void current?.scanner.discard(nonce))));
  row.dataset.nonce = nonce;
  row.dataset.state = state;
  return row;
}

// --- the camera

const view = element('view');
let trouble: CameraTrouble | null = null;
let starting = false;
/** The person wants it on; a page that is hidden lets go of it all the same. */
let wanted = false;
let torchOn = false;
let other: Invitation | null = null;
let hit: ReturnType<typeof setTimeout>;

const camera = createCamera(element<HTMLVideoElement>('camera'), scanned, () => {
  trouble = 'busy';
  drawCamera();
});

async function startCamera(): Promise<void> {
  wanted = true;
  starting = true;
  trouble = null;
  drawCamera();
  try {
    await camera.start();
    void keep(); // the reader came along
  } catch (error) {
    trouble = error as CameraTrouble;
  }
  starting = false;
  torchOn = false;
  drawCamera();
}

function stopCamera(): void {
  camera.stop();
  torchOn = false;
  drawCamera();
}

function drawCamera(): void {
  view.toggleAttribute('data-running', camera.running);
  const idle = current ? 'cameraStart' : 'pairCamera';
  element('camera-text').textContent = starting ? say('cameraStarting') : camera.running ? (current ? '' : say('pairCameraText')) : say('cameraOff');
  element('camera-switch').textContent = say(camera.running ? 'cameraStop' : idle);
  element('camera-switch').hidden = starting && !camera.running;
  element('torch').hidden = !camera.hasTorch;
  element('torch').setAttribute('aria-pressed', String(torchOn));
  element('camera-trouble').hidden = !trouble;
  if (trouble) write(element('camera-trouble'), say(`camera_${trouble}`));
  element('eye').dataset.trouble = trouble ?? '';
}

function scanned(text: string): void {
  const invitation = invitationIn(text);
  if (!current) {
    if (!invitation) return;
    signal(true);
    return void pair(invitation);
  }
  if (invitation) {
    // An order number it is not; a phone that has work does not change sides by a glance.
    other = invitation;
    element('other').hidden = false;
    return signal(false);
  }
  void send(text).then(signal);
}

/** The code was read: seen, heard and felt. */
function signal(good: boolean): void {
  beep(good ? 1760 : 330, good ? 90 : 250);
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(good ? 60 : [60, 60, 120]);
  if (!good) return;
  view.dataset.hit = '';
  clearTimeout(hit);
  hit = setTimeout(() => delete view.dataset.hit, HIT_MS);
}

// Only now some devices know whether they have a light.
element('camera').addEventListener('playing', drawCamera);
element('camera-switch').addEventListener('click', () => {
  if (!camera.running) return void startCamera();
  wanted = false;
  stopCamera();
});
element('torch').addEventListener('click', async () => {
  torchOn = !torchOn;
  await camera.torch(torchOn).catch(() => (torchOn = false));
  drawCamera();
});
element('other-do').addEventListener('click', () => {
  element('other').hidden = true;
  if (other) void pair(other);
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) stopCamera();
  else if (wanted) void startCamera();
});

element('leave').addEventListener('click', async () => {
  const waiting = current?.scanner.entries.filter(({ state }) => state === 'waiting').length ?? 0;
  const text = say('scanLeaveText') + (waiting ? ` ${say('scanLeaveWaiting', waiting)}` : '');
  if (await sure(say('scanLeaveTitle'), text, say('scanLeaveDo'))) leave();
});

// --- the beginning

begin();
prepareSound();
keepAwake();
void keep();
const invited = invitationIn(location.href);
// The secret is good once, but it need not stay in the address bar and the history.
if (location.search) history.replaceState(null, '', location.pathname);
const known = phone.get();
if (known && !invited) work(known);
else showPairing();
if (invited) void pair(invited);
