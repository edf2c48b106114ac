// The monitor: opens each order that a paired phone scans, and invites phones.
import { connect, createMonitor, SignalboxError, type Monitor, type Order } from '@signalbox/client';
import { keepAwake } from './awake';
import { keep } from './keep';
import { banner, begin, config, element, make, remembered, say, sure, tokens, write } from './page';
import { qrCode } from './qr';
import { beep, prepareSound } from './sound';
import { clock } from './time';

/** `paired` stays true while the phone sleeps: the QR code is out of the way then. */
interface Session { id: string; paired: boolean }
type View = 'number' | 'frame' | 'tab';
interface Phone { number: number; since: number; scanned: number | null }

/** A new invitation is asked for this long before the old one ends. */
const RENEW_BEFORE_MS = 60_000;
const TAB = 'signalbox-order';

const session = remembered<Session>('signalbox.session');
const sound = remembered<boolean>('signalbox.beep');
const chosenView = remembered<View>('signalbox.view');

begin();
prepareSound();
keepAwake();
void keep();
const link = connect({ token: tokens() });
banner(link);

// --- orders

/** Where an order opens; null where the server was not told. */
function address({ orderNo }: Order): string | null {
  return config.orderUrl && new URL(config.orderUrl.replaceAll('{orderNo}', encodeURIComponent(orderNo)), location.origin).href;
}

const view = (): View => (config.orderUrl ? chosenView.get() ?? 'frame' : 'number');
let tab: Window | null = null;

function draw(order: Order): void {
  const box = element('order');
  box.textContent = order.orderNo;
  box.style.setProperty('--length', String(order.orderNo.length));
  element('none').hidden = true;
  element('mark').hidden = !order.replayed;
  const at = element<HTMLTimeElement>('at');
  at.dateTime = new Date(order.ts).toISOString();
  at.textContent = clock(order.ts);
  document.title = `${order.orderNo} · ${say('monitorTitle')}`;
  const open = element<HTMLAnchorElement>('open');
  open.hidden = !config.orderUrl || view() === 'frame';
  open.href = address(order) ?? '';
}

function openOrder(order: Order): void {
  const url = address(order);
  if (!url || view() === 'number') return;
  if (view() === 'frame') {
    element<HTMLIFrameElement>('frame').src = url;
    return;
  }
  // Only a tab that a click has opened may be sent elsewhere without one.
  if (tab && !tab.closed) tab.location.href = url;
  else tab = window.open(url, TAB);
  element('blocked').hidden = tab !== null;
}

function show(order: Order): void {
  draw(order);
  openOrder(order);
  if (order.from === 'mobile' && !order.replayed) met(order.fromSocketId).scanned = order.receivedAt;
  if (sound.get()) beep();
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const flash = getComputedStyle(document.documentElement).getPropertyValue(order.replayed ? '--watch-back' : '--ok-back');
  element('current').animate([{ backgroundColor: flash, offset: 0 }, { backgroundColor: flash, offset: 0.4 }, {}], 1500);
}

function setView(): void {
  drawView();
  const [current] = monitor?.orders ?? [];
  if (current) openOrder(current);
}

function drawView(): void {
  element('frame').hidden = view() !== 'frame';
  document.body.classList.toggle('framed', view() === 'frame');
  element('blocked').hidden = true;
  const [current] = monitor?.orders ?? [];
  if (current) draw(current);
}

/** The history; rows that stay are not moved, so that they keep the focus. */
const rows = new Map<Order, HTMLLIElement>();
function drawHistory(orders: readonly Order[]): void {
  const list = element('history');
  for (const [order, row] of rows) {
    if (orders.includes(order)) continue;
    row.remove();
    rows.delete(order);
  }
  orders.forEach((order, i) => {
    const row = rows.get(order) ?? drawRow(order);
    rows.set(order, row);
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
  element('past').hidden = orders.length === 0;
}

function drawRow(order: Order): HTMLLIElement {
  const url = address(order);
  const number = { className: 'number', textContent: order.orderNo };
  const mark = { className: 'badge watch', textContent: say('monitorReplayed'), title: say('monitorReplayedTitle') };
  const row = make('li', {},
    make('time', { dateTime: new Date(order.ts).toISOString(), textContent: clock(order.ts) }),
    url ? make('a', { ...number, href: url, target: TAB }) : make('span', number),
    order.replayed ? make('span', mark) : '');
  row.dataset.seq = order.seq === null ? '' : String(order.seq);
  if (order.replayed) row.dataset.replayed = '';
  return row;
}

// --- phones

const phones = new Map<string, Phone>();

function met(socketId: string): Phone {
  let phone = phones.get(socketId);
  if (!phone) {
    const taken = new Set([...phones.values()].map(({ number }) => number));
    let number = 1;
    while (taken.has(number)) number += 1;
    phones.set(socketId, phone = { number, since: Date.now(), scanned: null });
  }
  const kept = session.get();
  if (kept && !kept.paired) session.set({ ...kept, paired: true });
  return phone;
}

let drawn = '';
function drawPhones(): void {
  const now = JSON.stringify([[...phones], monitor?.status?.hasMobile]);
  if (now === drawn) return; // a button keeps the focus
  drawn = now;
  const unknown = phones.size === 0 && monitor?.status?.hasMobile;
  element('no-phones').textContent = phones.size > 0 ? '' : say(unknown ? 'monitorUnknownPhones' : 'monitorNoPhones');
  element('no-phones').hidden = phones.size > 0;
  element('phones').replaceChildren(...[...phones].map(([socketId, { number, since, scanned }]) => {
    const news = scanned ? say('monitorPhoneScan', clock(scanned)) : say('monitorPhoneSince', clock(since));
    const away = make('button', { type: 'button', textContent: say('monitorSendAway'), onclick: () => sendAway(socketId) });
    away.setAttribute('aria-label', say('monitorSendAwayLabel', number));
    return make('li', {}, make('span', {}, say('monitorPhone', number), make('small', { textContent: news })), away);
  }));
}

async function sendAway(socketId: string): Promise<void> {
  const kept = session.get()!;
  element('phones-trouble').textContent = '';
  try {
    await link.ask('session:unpair', { sessionId: kept.id, socketId });
  } catch (error) {
    const { code, message } = error as SignalboxError;
    if (code !== 'NOT_FOUND') element('phones-trouble').textContent = say('monitorSendAwayFailed', message);
  }
  phones.delete(socketId);
  if (phones.size === 0) session.set({ ...kept, paired: false });
  drawPairing();
}

// --- pairing

interface Invitation { sessionId: string; pairingUrl: string; pairingCode: string; expiresIn: number }
let invitation: { endsAt: number } | null = null;
let renewal: ReturnType<typeof setTimeout>;
let asking = false;
let wanted = false;

const pairingShown = () => wanted || !session.get()?.paired;

function drawPairing(): void {
  drawPhones();
  const [shown, paired] = [pairingShown(), session.get()?.paired ?? false];
  element('pairing').hidden = !shown;
  element('pair-more').hidden = shown || !paired;
  element('pair-more').setAttribute('aria-expanded', String(shown));
  element('pair-hide').hidden = !paired;
  if (shown) void invite();
}

/** Asks for an invitation unless there is one that lasts; the first one brings the session along. */
async function invite(): Promise<void> {
  const kept = session.get();
  const ready = link.state === 'connected' && (!kept || monitor?.status);
  if (!ready || asking || document.hidden || (invitation && invitation.endsAt > Date.now() + RENEW_BEFORE_MS)) return;
  asking = true;
  try {
    const given = await link.ask('session:create', kept ? { sessionId: kept.id } : {});
    drawInvitation(given);
    if (!kept) {
      session.set({ id: given.sessionId, paired: false });
      start(given.sessionId);
    }
  } catch {
    renew(2000); // the banner says what is wrong; a reconnect asks at once
  } finally {
    asking = false;
  }
}

function drawInvitation({ pairingUrl, pairingCode, expiresIn }: Invitation): void {
  const [base, qr] = [config.origin ?? location.origin, element('qr')];
  const url = new URL(pairingUrl, base).href;
  qr.replaceChildren(qrCode(url));
  qr.dataset.url = url;
  element('code').textContent = `${pairingCode.slice(0, 3)} ${pairingCode.slice(3)}`;
  element('code').setAttribute('aria-label', [...pairingCode].join(' '));
  write(element('code-text'), say('monitorCode', new URL('/scan', url).href));
  element('invitation').hidden = false;
  element('invitation-wait').hidden = true;
  invitation = { endsAt: Date.now() + expiresIn * 1000 };
  renew(expiresIn * 1000 - RENEW_BEFORE_MS);
}

function renew(ms: number): void {
  clearTimeout(renewal);
  renewal = setTimeout(() => pairingShown() && invite(), Math.max(ms, 1000));
}

/** It is good once, and only while its monitor is connected. */
function endInvitation(): void {
  invitation = null;
  delete element('qr').dataset.url;
  element('code').textContent = '';
  element('invitation').hidden = true;
  element('invitation-wait').hidden = false;
}

function drawReach(): void {
  const local = /^(localhost|127\..*|\[::1\])$/.test(location.hostname);
  const text = config.origin ? null : local ? 'monitorLocal' : window.isSecureContext ? null : 'monitorPlain';
  element('reach').hidden = !text;
  if (text) write(element('reach'), say(text));
}

// --- the session

let monitor: Monitor | null = null;

function start(id: string): void {
  element('session').textContent = say('monitorSession', id);
  element('session').dataset.id = id;
  monitor = createMonitor(link, { sessionId: id, show });
  const changed = () => {
    drawHistory(monitor!.orders);
    element('missed').hidden = !monitor!.missed;
    drawPairing();
  };
  monitor.subscribe(changed);
  drawView();
  const [current] = monitor.orders;
  if (current && view() === 'frame') openOrder(current);
  changed();
}

link.socket.on('session:paired', ({ sessionId, socketId }) => {
  if (sessionId !== session.get()?.id) return;
  met(socketId);
  wanted = false;
  endInvitation();
  drawPairing();
});
link.socket.on('clientJoined', ({ socketId, role }) => {
  if (role === 'mobile') met(socketId);
  drawPairing();
});
link.socket.on('clientLeft', ({ socketId }) => {
  phones.delete(socketId);
  drawPairing();
});
link.socket.on('disconnect', () => {
  phones.clear(); // whoever is still there is met again with the next scan
  endInvitation();
  drawPairing();
});
link.subscribe(drawPairing);
document.addEventListener('visibilitychange', drawPairing);

element('pair-more').addEventListener('click', () => {
  wanted = true;
  drawPairing();
  element('pairing').scrollIntoView({ block: 'nearest' });
});
element('pair-hide').addEventListener('click', () => {
  wanted = false;
  drawPairing();
  element('pair-more').focus();
});

// --- settings

const beepSwitch = element<HTMLInputElement>('beep');
beepSwitch.checked = sound.get() ?? false;
beepSwitch.addEventListener('change', () => {
  sound.set(beepSwitch.checked);
  if (beepSwitch.checked) beep();
});

const viewChoice = element<HTMLSelectElement>('view');
element('view-label').hidden = !config.orderUrl;
viewChoice.value = view();
viewChoice.addEventListener('change', () => {
  chosenView.set(viewChoice.value as View);
  setView();
});
element('unblock').addEventListener('click', () => {
  const [current] = monitor?.orders ?? [];
  if (current) openOrder(current);
});

const full = element('full');
full.hidden = !document.fullscreenEnabled;
full.addEventListener('click', () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
document.addEventListener('fullscreenchange', () => full.setAttribute('aria-pressed', String(document.fullscreenElement !== null)));

element('new').addEventListener('click', async () => {
  if (!(await sure(say('monitorNewTitle'), say('monitorNewText'), say('monitorNewDo')))) return;
  monitor?.close();
  link.close();
  session.forget();
  location.reload();
});

drawReach();
const kept = session.get();
if (kept) start(kept.id);
drawPairing();
