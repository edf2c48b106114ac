// The chat: the rooms of a user, what is said in them, and a link that invites somebody.
import { connect, createChat, type ChatLine, type ChatRoom, type SignalboxError } from '@signalbox/client';
import { banner, begin, config, element, make, remembered, say, sure, tokens } from './page';
import { clock, day, hour, lately } from './time';

/** What a room is called that a link began; the page shows who the other one is. */
const DIRECT = '1:1';
/** Lines of one person that are this close together stand below one name. */
const CLOSE_MS = 300_000;
/** So near to the end, in pixels, is at the end; so near to the beginning earlier messages are fetched. */
const END = 48;
const BEGINNING = 300;

begin();
const link = connect({ token: tokens() });
banner(link);
const chat = createChat(link);

// --- who is who

type Somebody = Pick<ChatLine, 'userId' | 'username'>;

const isMe = (userId: string | number | null) => link.user !== null && String(userId) === String(link.user);

/** A visitor without an account has a name that nobody can read out. */
function nameOf({ userId, username }: Somebody): string {
  if (userId === 'gpt') return say('chatAssistant');
  return /^demo-[0-9a-z]{8,}$/.test(username) ? username.slice(0, 9) : username;
}

const others = ({ participants }: ChatRoom) => participants.filter(({ userId }) => !isMe(userId));

const namesIn = (room: ChatRoom) => others(room).map(nameOf).join(', ') || say('chatAlone');

function titleOf(room: ChatRoom): string {
  const [other, ...more] = others(room);
  return room.name === DIRECT && other && more.length === 0 ? nameOf(other) : room.name;
}

// --- what was read

const READ = 'signalbox.chat.read';
const marks = remembered<Record<string, number>>(READ);
let read = marks.get() ?? {};

/** How much of a room the person has not seen; whoever answers has read what was before. */
function unread({ roomID, lines }: ChatRoom): number {
  let count = 0;
  for (const { own, state, createdAt } of [...lines].reverse()) {
    if (state !== 'sent') continue;
    if (own || createdAt <= (read[roomID] ?? 0)) break;
    count += 1;
  }
  return count;
}

function markRead(room: ChatRoom): void {
  const last = room.lines.findLast(({ state }) => state === 'sent')?.createdAt;
  if (document.hidden || !pinned || last === undefined || last <= (read[room.roomID] ?? 0)) return;
  // Rooms that are no more are forgotten.
  const known = chat.rooms.map(({ roomID }) => [roomID, read[roomID] ?? 0] as const);
  read = { ...Object.fromEntries(known), [room.roomID]: last };
  marks.set(read);
}

// --- the rooms

const links = new Map<string, HTMLAnchorElement>();

function drawRooms(): void {
  const list = element('rooms');
  for (const [roomID, row] of links) {
    if (chat.room(roomID)) continue;
    row.parentElement!.remove();
    links.delete(roomID);
  }
  chat.rooms.forEach((room, i) => {
    let row = links.get(room.roomID);
    if (!row) {
      row = make('a', { href: `/chat?room=${encodeURIComponent(room.roomID)}` });
      links.set(room.roomID, row);
      make('li', {}, row);
    }
    // One that is moved loses the focus.
    if (list.children[i] !== row.parentElement) list.insertBefore(row.parentElement!, list.children[i] ?? null);
    drawRoom(row, room);
  });
  element('no-rooms').hidden = !chat.loaded || chat.rooms.length > 0;
}

function drawRoom(row: HTMLAnchorElement, room: ChatRoom): void {
  const last = room.lines.at(-1);
  const count = unread(room);
  const by = last && (last.own ? say('chatYou') : nameOf(last));
  const said = last ? `${by}: ${last.content.slice(0, 120)}` : namesIn(room);
  const parts = [titleOf(room), lately(last?.createdAt ?? room.createdAt), said, String(count)];
  if (room.roomID === open) row.setAttribute('aria-current', 'page');
  else row.removeAttribute('aria-current');
  if (row.dataset.drawn === parts.join('\n')) return;
  row.dataset.drawn = parts.join('\n');
  const [title, time, text] = parts;
  const news = make('span', { className: 'unread', ariaLabel: say('chatUnread', count), textContent: count > 99 ? '99+' : String(count) });
  news.setAttribute('role', 'img');
  row.replaceChildren(
    make('span', { className: 'name', textContent: title! }),
    make('time', { textContent: time! }),
    make('span', { className: 'last', textContent: text! }),
    count > 0 ? news : '');
}

// --- the room that is open

let open: string | null = null;
/** What the open room was called, as long as there is one. */
let opened = '';
/** The newest message is in sight, and is to stay so. */
let pinned = true;
const drafts = new Map<string, string>();
const [log, text] = [element('log'), element<HTMLTextAreaElement>('text')];
const addressed = () => new URLSearchParams(location.search).get('room');

/** Opens the room of the address, or none. */
function follow(): void {
  const next = addressed();
  if (next === open) return;
  if (open !== null) drafts.set(open, editing ? '' : text.value);
  stopEditing();
  open = next;
  opened = '';
  pinned = true;
  if (open !== null) chat.open(open);
  complain('');
  rows.clear();
  element('lines').replaceChildren();
  text.value = drafts.get(open ?? '') ?? '';
  fit();
  draw();
}

function go(roomID: string | null, { replace = false } = {}): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', roomID === null ? '/chat' : `/chat?room=${encodeURIComponent(roomID)}`);
  follow();
}

/** For the keyboard to go on from; on a touch screen that would open another one. */
function focus(): void {
  if (matchMedia('(pointer: fine)').matches) text.focus();
  else element('back').focus();
}

function drawTalk(): void {
  const room = open === null ? undefined : chat.room(open);
  if (open !== null && !room && chat.loaded) {
    if (opened) tell(say('chatGone', opened));
    return go(null, { replace: true });
  }
  element('talk').hidden = !room;
  element('none').hidden = room !== undefined || chat.rooms.length === 0;
  document.body.toggleAttribute('data-open', room !== undefined);
  if (!room) return;
  opened = titleOf(room);
  element('title').textContent = opened;
  const names = namesIn(room);
  element('people').textContent = names === opened ? '' : names;
  element('people').title = names;
  element('remove').textContent = say(room.own ? 'chatDelete' : 'chatLeave');
  drawLines(room);
  markRead(room);
}

function draw(): void {
  drawTalk();
  drawRooms();
  const problem = element('problem');
  problem.hidden = chat.problem === null;
  problem.textContent = chat.problem ? say('chatProblem', chat.problem.message) : '';
  const news = chat.rooms.reduce((sum, room) => sum + unread(room), 0);
  document.title = `${news > 0 ? `(${news}) ` : ''}${opened || say('chatTitle')}`;
}

// --- what is said

interface Row { line: ChatLine; node: HTMLLIElement }
const rows = new Map<string, Row>();

/** The first row that can be seen, to be where it was afterwards. */
const anchor = () => [...rows.values()].find(({ node }) => node.offsetTop + node.offsetHeight > log.scrollTop)?.node;

function drawLines(room: ChatRoom): void {
  const before = pinned ? undefined : anchor();
  const top = before?.offsetTop ?? 0;
  const list = element('lines');
  const fresh = rows.size === 0;
  // A screen reader reads out what is new, and not what was there before.
  if (fresh) log.ariaLive = 'off';
  const items = itemsOf(room);
  const keys = new Set(items.map(({ dataset }) => dataset.key));
  for (const node of [...list.children] as HTMLElement[]) {
    if (keys.has(node.dataset.key)) continue;
    node.remove();
    rows.delete(node.dataset.key!);
  }
  items.forEach((node, i) => {
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null);
  });
  element('older').hidden = !room.hasOlder;
  element('silence').hidden = !room.loaded || room.lines.length > 0;
  if (fresh) requestAnimationFrame(() => (log.ariaLive = 'polite'));
  if (pinned) log.scrollTop = log.scrollHeight;
  else if (before?.isConnected) log.scrollTop += before.offsetTop - top;
  element('down').hidden = pinned || unread(room) === 0;
}

/** The rows of a room, and a day before the first of each. */
function itemsOf({ lines }: ChatRoom): HTMLElement[] {
  const date = ({ createdAt }: ChatLine) => new Date(createdAt).toDateString();
  const together = (a: ChatLine | undefined, b: ChatLine | undefined) =>
    a && b && a.userId === b.userId && date(a) === date(b) && b.createdAt - a.createdAt < CLOSE_MS;
  return lines.flatMap((line, i) => {
    const [before, after] = [lines[i - 1], lines[i + 1]];
    const { node } = rowOf(line);
    node.toggleAttribute('data-first', !together(before, line));
    node.toggleAttribute('data-last', !together(line, after));
    return before && date(before) === date(line) ? [node] : [dayOf(line), node];
  });
}

function dayOf(line: ChatLine): HTMLLIElement {
  const key = `day ${new Date(line.createdAt).toDateString()}`;
  const known = rows.get(key);
  if (known) return known.node;
  const node = make('li', { className: 'day', textContent: day(line.createdAt) });
  node.dataset.key = key;
  rows.set(key, { line, node });
  return node;
}

function rowOf(line: ChatLine): Row {
  let row = rows.get(line.key);
  if (row?.line === line) return row;
  const node = row?.node ?? make('li', { className: 'line' });
  row = { line, node };
  rows.set(line.key, row);
  node.dataset.key = line.key;
  node.dataset.state = line.state;
  node.toggleAttribute('data-own', line.own);
  node.toggleAttribute('data-gpt', line.userId === 'gpt');
  // A touch shows what can be done with it.
  if (line.own) node.tabIndex = -1;
  // The answer is read out when it is whole.
  node.ariaBusy = String(line.state === 'writing');
  const body = make('div', { className: 'body', textContent: line.content });
  const time = make('time', { dateTime: new Date(line.createdAt).toISOString(), title: clock(line.createdAt), textContent: hour(line.createdAt) });
  const by = make('span', { className: 'by', textContent: line.own ? say('chatYou') : nameOf(line) });
  node.replaceChildren(by, body, make('div', { className: 'about' }, ...about(line), time));
  return row;
}

/** What there is to say of a line, and to do with it. */
function about({ key, state, own, id, content, editedAt, error }: ChatLine): Node[] {
  const why = (words: string) => make('span', { className: 'why', textContent: words });
  const button = (words: string, label: string, onclick: () => void, className = 'plain') =>
    make('button', { type: 'button', className, textContent: words, ariaLabel: label, onclick });
  const beginning = content.slice(0, 60);
  if (state === 'waiting') return [why(say('chatWaiting'))];
  if (state === 'failed') return [why(say('chatFailed'))];
  if (state === 'refused') {
    return [
      why(say('chatRefused', error?.message ?? '')),
      button(say('chatRetry'), say('chatRetryLabel', beginning), () => chat.retry(key)),
      button(say('chatDiscard'), say('chatDiscardLabel', beginning), () => chat.discard(key)),
    ];
  }
  const notes = editedAt === undefined ? [] : [why(say('chatEdited'))];
  const change = () => startEditing(key);
  return own && id !== null ? [button(say('chatEdit'), say('chatEditLabel', beginning), change, 'plain edit'), ...notes] : notes;
}

async function older(): Promise<void> {
  if (open === null || !chat.room(open)?.hasOlder) return;
  log.ariaLive = 'off';
  // Where it fails the banner says why, and scrolling tries again.
  await chat.older(open).catch(() => {});
  requestAnimationFrame(() => (log.ariaLive = 'polite'));
}

log.addEventListener('scroll', () => {
  pinned = log.scrollHeight - log.scrollTop - log.clientHeight < END;
  if (log.scrollTop < BEGINNING) void older();
  const room = open === null ? undefined : chat.room(open);
  if (pinned && room && unread(room) > 0) draw();
});
new ResizeObserver(() => {
  if (pinned) log.scrollTop = log.scrollHeight;
}).observe(log);
element('older').addEventListener('click', older);
element('down').addEventListener('click', () => {
  pinned = true;
  draw();
  focus();
});

// --- what the person says

/** The message that is being changed. */
let editing: { roomID: string; id: number; key: string } | null = null;

function startEditing(key: string): void {
  const line = open === null ? undefined : chat.room(open)?.lines.find((one) => one.key === key);
  if (!line || line.id === null) return;
  if (!editing) drafts.set(line.roomID, text.value);
  stopEditing();
  editing = { roomID: line.roomID, id: line.id, key };
  rows.get(key)?.node.setAttribute('data-changing', '');
  text.value = line.content;
  drawEditing();
}

function stopEditing(): void {
  if (!editing) return;
  rows.get(editing.key)?.node.removeAttribute('data-changing');
  text.value = drafts.get(editing.roomID) ?? '';
  editing = null;
  drawEditing();
}

function drawEditing(): void {
  element('editing').hidden = editing === null;
  element('send').textContent = say(editing ? 'chatSave' : 'chatSend');
  text.ariaLabel = text.placeholder = say(editing ? 'chatEditing' : 'callText');
  complain('');
  fit();
  if (open !== null) text.focus();
}

/** As high as what is in it, where the browser does not see to that. */
function fit(): void {
  if (CSS.supports('field-sizing', 'content')) return;
  text.style.height = 'auto';
  text.style.height = `${text.scrollHeight + 2}px`;
}

function complain(words: string): void {
  element('trouble').textContent = words;
  element('trouble').hidden = words === '';
}

function reason({ code, message }: SignalboxError): string {
  if (code === 'PAYLOAD_TOO_LARGE') return say('chatTooLong');
  return say('chatTrouble', code === 'OFFLINE' || code === 'TIMEOUT' ? say('chatOffline') : message);
}

async function submit(): Promise<void> {
  const content = text.value.trim();
  if (content === '' || open === null) return;
  try {
    if (editing) {
      const { roomID, id } = editing;
      await chat.edit(roomID, id, content);
      stopEditing();
    } else {
      pinned = true;
      chat.send(open, content);
      text.value = '';
      complain('');
      fit();
    }
  } catch (error) {
    complain(reason(error as SignalboxError));
  }
}

element<HTMLFormElement>('form').addEventListener('submit', (event) => {
  event.preventDefault();
  void submit();
});
element('unedit').addEventListener('click', stopEditing);
text.addEventListener('input', fit);
text.addEventListener('keydown', (event) => {
  // An Enter that ends the composition of a syllable is none; on a touch screen the button sends.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && matchMedia('(pointer: fine)').matches) {
    event.preventDefault();
    void submit();
  } else if (event.key === 'Escape' && editing) {
    stopEditing();
  } else if (event.key === 'ArrowUp' && text.value === '' && open !== null) {
    const last = chat.room(open)?.lines.findLast(({ own, state }) => own && state === 'sent');
    if (!last) return;
    event.preventDefault();
    startEditing(last.key);
  }
});

// --- rooms come and go

function tell(words: string): void {
  element('notice').textContent = words;
  element('notice').hidden = words === '';
}

element('remove').addEventListener('click', async () => {
  const room = open === null ? undefined : chat.room(open);
  if (!room) return;
  const what = room.own ? 'chatDelete' : 'chatLeave';
  if (!(await sure(say(`${what}Title`, titleOf(room)), say(`${what}Text`), say(`${what}Do`)))) return;
  try {
    if (open === room.roomID) opened = '';
    await chat.remove(room.roomID);
    element('new').focus();
  } catch (error) {
    complain(reason(error as SignalboxError));
  }
});

element('new').addEventListener('click', () => {
  const name = make('input', { required: true, maxLength: 100, autocomplete: 'off' });
  const people = make('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: false });
  const cancel = make('button', { type: 'button', textContent: say('cancel') });
  const trouble = make('p', { className: 'note bad', hidden: true });
  trouble.setAttribute('role', 'alert');
  const form = make('form', { className: 'stack' },
    make('h2', { textContent: say('chatNewTitle') }),
    make('label', {}, say('chatNewName'), name),
    make('label', {}, say('chatNewPeople'), people, make('small', { textContent: say('chatNewPeopleText') })),
    trouble,
    make('div', { className: 'row' },
      make('button', { className: 'primary', textContent: say('chatNewDo') }),
      cancel));
  const dialog = make('dialog', { ariaLabel: say('chatNewTitle') }, form);
  cancel.onclick = () => dialog.close();
  dialog.addEventListener('close', () => dialog.remove());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      const { roomID } = await chat.create(name.value.trim(), people.value.split(',').map((one) => one.trim()).filter(Boolean).map(idOf));
      dialog.close();
      go(roomID);
      focus();
    } catch (error) {
      trouble.textContent = reason(error as SignalboxError);
      trouble.hidden = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
});

/** A user as the server wants it: what is a number means an id. */
const idOf = (given: string): string | number => (/^[1-9]\d{0,14}$/.test(given) ? Number(given) : given);

element('rooms').addEventListener('click', (event) => {
  const row = (event.target as Element).closest('a');
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  tell('');
  go(new URL(row.href).searchParams.get('room'));
  focus();
});
element('back').addEventListener('click', (event) => {
  event.preventDefault();
  const row = links.get(open ?? '');
  go(null);
  row?.focus();
});

// --- inviting

let invited = new URLSearchParams(location.search).get('with');

/** Opens the room with whoever sent the link, or begins it. */
async function meet(other: string): Promise<void> {
  const known = chat.rooms.find((room) => room.participants.length === 2 && others(room).some(({ userId }) => String(userId) === other));
  try {
    const { roomID } = known ?? await chat.create(DIRECT, [idOf(other)]);
    go(roomID, { replace: true });
    focus();
  } catch (error) {
    tell(reason(error as SignalboxError));
  }
}

function invite(): void {
  const field = element<HTMLInputElement>('link');
  if (link.user === null) return;
  field.value = `${config.origin ?? location.origin}/chat?with=${encodeURIComponent(link.user)}`;
  if (!chat.loaded || invited === null) return;
  const other = invited;
  invited = null;
  history.replaceState(null, '', '/chat');
  if (isMe(other)) tell(say('chatOwnLink'));
  else void meet(other);
}

element('invite-text').textContent = say(config.development ? 'chatInviteDemo' : 'chatInviteText');
element('link').onfocus = () => element<HTMLInputElement>('link').select();
element('copy').onclick = async () => {
  const field = element<HTMLInputElement>('link');
  try {
    await navigator.clipboard.writeText(field.value);
    element('copy').textContent = say('callCopied');
  } catch {
    field.select(); // not allowed, or no clipboard without https: the keyboard can do it
  }
};

// --- what happens

/** Where there is room for both, a room is open beside the list. */
function settle(): void {
  const [first] = chat.rooms;
  if (open === null && first && invited === null && matchMedia('(min-width: 52rem)').matches) go(first.roomID, { replace: true });
}

let due = false;
function changed(): void {
  if (due) return;
  due = true;
  // What changes at once is drawn once; a hidden page has no frames, and its title tells what is new.
  queueMicrotask(() => {
    due = false;
    invite();
    settle();
    draw();
  });
}

chat.subscribe(changed);
link.subscribe(changed);
addEventListener('popstate', follow);
document.addEventListener('visibilitychange', changed);
addEventListener('storage', ({ key }) => {
  if (key !== READ) return;
  read = marks.get() ?? {};
  changed();
});
drawEditing();
follow();
changed();
