// The flow explorer: health, live list and one flow, from /api/flows. What the API says becomes text,
// never markup.

const POLL_MS = 2000;
const [FEW, MANY] = [100, 500];
/** The objective: 99 % of scans within this. */
const SLOW_MS = 250;

/** What a hop is, and where to look when it is slow. */
const HOPS = {
  queue: ['waiting for the earlier events of this socket', 'An earlier event of the same socket held it up: look at the flows just before it.'],
  guard: ['limits and permissions', 'Checking limits is work in memory: look at runtime busy.'],
  decide: ['the handler', 'The handler took the time: look at the store, runtime busy and the log lines below.'],
  persist: ['writing it into the ledger', 'The database took the time: look at its disk, or at the way to its server.'],
  deliver: ['handing it to the sockets of the receivers', 'Many receivers, or a node under load: look at runtime busy.'],
  answer: ['the acknowledgement', 'The answer was late: look at runtime busy.'],
};

const RESULTS = {
  sent: (f) => `Delivered: handed to ${count(f.monitors, 'monitor')}.`,
  queued: () => '0 monitors: nobody was there to see it. It is kept, and the first monitor that joins gets it.',
  duplicate: () => 'Sent again: it was in the ledger already, and was relayed then.',
  refused: () => 'Refused: the client’s doing.',
  relay_failed: () => 'Failed on our side: it did not get through.',
  storage_failed: (f) => (f.outcome === 'refused'
    ? 'Failed on our side: refused, because the database did not take it.'
    : `Failed on our side: the database did not take it. Handed to ${count(f.monitors, 'monitor')}, and not kept.`),
  shed: () => 'Failed on our side: dropped, because more was waiting than the server takes.',
};
/** Results that look other than their outcome. */
const LOOKS = { queued: '', duplicate: '', storage_failed: 'failed' };
const look = (f) => LOOKS[f.result] ?? f.outcome;
const OUTCOMES = { ok: 'Done.', refused: 'Refused: the client’s doing.', failed: 'Failed on our side.' };

const CODES = {
  VALIDATION_ERROR: 'the payload is not what the event takes',
  AUTH_ERROR: 'no valid token',
  TOKEN_EXPIRED: 'the token had ended',
  FORBIDDEN: 'this client may not do this, or is not in that session or room',
  NOT_FOUND: 'what it names does not exist',
  ROOM_FULL: 'the room is full',
  CONFLICT: 'it contradicts what is already there',
  RATE_LIMIT: 'too many in too short a time',
  PAYLOAD_TOO_LARGE: 'the payload is too large',
  UNKNOWN_EVENT: 'there is no such event',
  UNAVAILABLE: 'something that it needs was away or full',
  INTERNAL: 'an error in the server; the log line with the error id says which',
};

/** The fields of a log line that matter most, first. */
const LOG_FIRST = ['ts', 'level', 'message', 'event', 'outcome', 'code', 'component', 'kind', 'detail', 'error_id', 'duration_ms', 'flow', 'trace_id'];

const $ = (id) => document.getElementById(id);
const main = document.querySelector('main');

// --- text

const number = new Intl.NumberFormat('en');
const count = (n, what) => `${number.format(n ?? 0)} ${what}${n === 1 ? '' : 's'}`;

function ms(value) {
  if (value == null) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return `${Number(value.toPrecision(value >= 10 ? 3 : 2))} ms`;
}

/** The same, to be compared down a column. */
const column = (value) => (value < 100 ? `${value.toFixed(2)} ms` : ms(value));

function span(seconds) {
  const s = Math.round(seconds);
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

function clock(at) {
  const time = new Date(at);
  const text = time.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
  return time.toDateString() === new Date().toDateString() ? text : `${time.toLocaleDateString('en-CA')} ${text}`;
}

/** An element; strings become text. */
function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child != null));
  return node;
}

function titled(node, title) {
  node.title = title;
  return node;
}

function link(text, href) {
  const node = el('a', '', text);
  node.href = href;
  return node;
}

/** A link to another site, if its address is one of the web. */
function away(text, address) {
  if (!/^https?:\/\//i.test(address ?? '')) return null;
  const node = link(text, address);
  node.target = '_blank';
  node.rel = 'noopener noreferrer';
  return node;
}

function copier(what, text) {
  const node = el('button', 'copy', 'Copy');
  node.type = 'button';
  node.setAttribute('aria-label', `Copy ${what}`);
  node.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      node.textContent = 'Copied';
    } catch { // not over plain HTTP, except from this machine
      getSelection().selectAllChildren(node.previousElementSibling);
      node.textContent = 'Selected: press Ctrl+C';
    }
    setTimeout(() => (node.textContent = 'Copy'), 2000);
  });
  return node;
}

const copyable = (what, text) => el('span', 'copyable', el('code', '', text), copier(what, text));

// --- the API

const token = {
  get: () => sessionStorage.getItem('token'),
  set: (text) => sessionStorage.setItem('token', text),
  forget: () => sessionStorage.removeItem('token'),
};

async function api(path, signal) {
  const headers = token.get() ? { authorization: `Bearer ${token.get()}` } : {};
  const signals = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
  const response = await fetch(path, { headers, signal: signals, cache: 'no-store', redirect: 'error' });
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const error = new Error(body?.error?.message ?? `status ${response.status}`);
  throw Object.assign(error, { status: response.status, retryAfter: Number(response.headers.get('retry-after')) });
}

/** One request at a time; the one before is given up. */
function single() {
  let current = new AbortController();
  return () => {
    current.abort();
    current = new AbortController();
    return current.signal;
  };
}

// --- an admin token

function ask(message) {
  const [had, asking] = [token.get(), !$('admin').hidden];
  token.forget();
  wipe();
  $('admin').hidden = false;
  $('forget').hidden = true;
  $('refused').textContent = had ? `That token was refused: ${message}` : '';
  if (!asking || had) $('token').focus();
}

/** Leaves nothing of the node's on the screen. */
function wipe() {
  clearTimeout(timer);
  pollSignal();
  flowSignal();
  main.hidden = true;
  rows.clear();
  latest = null;
  for (const id of ['rows', 'flow', 'health', 'node', 'recorder']) $(id).replaceChildren();
  $('trouble').hidden = true;
  document.title = 'Signalbox';
}

$('admin').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('token').value.trim().replace(/^Bearer\s+/i, '');
  $('token').value = '';
  if (!/^[\x21-\x7e]+$/.test(text)) {
    $('refused').textContent = 'That is not a token: it is one long word of letters, digits and signs.';
    return;
  }
  token.set(text);
  start();
});

$('forget').addEventListener('click', () => {
  token.forget();
  ask('');
});

// --- health

/** Label, value, note, and a level: '' says nothing, or ok, watch, bad. */
function tiles({ health: h, summary: s }) {
  const at = (value, watch, bad) => (value > bad ? 'bad' : value > watch ? 'watch' : 'ok');
  const [node, level] = !h.ready ? ['Not ready', 'bad'] : h.degraded ? ['Degraded', 'watch'] : ['Ready', 'ok'];
  const { result, secondsAgo, ms: took } = h.canary;
  const canary = result == null ? '' : result === 'ok' ? at(secondsAgo, 75, 180) : 'bad';
  const ratio = s.failed / Math.max(1, s.ok + s.failed);
  return [
    ['Node', node, `up ${span(h.uptimeSeconds)}`, level],
    [`Scans, ${span(s.seconds)}`, s.failed ? `${number.format(s.failed)} failed` : number.format(s.scans),
      `${number.format(s.ok)} ok, ${number.format(s.refused)} refused`, s.scans ? at(ratio, 0, 0.05) : ''],
    ['Scan p99', s.scans ? ms(s.p99Ms) : '–', s.scans ? `p50 ${ms(s.p50Ms)}` : '', s.scans ? at(s.p99Ms, SLOW_MS, 1000) : ''],
    ['Canary', result ?? 'no run yet', result == null ? 'a test scan every 30 s' : `${span(secondsAgo)} ago, ${ms(took)}`, canary],
    ['Store', h.storeUp ? 'up' : 'down', h.storeUp ? '' : 'scans are not kept', h.storeUp ? 'ok' : 'bad'],
    ['Runtime busy', `${Math.round(h.runtimeBusy * 100)} %`, '', at(h.runtimeBusy, 0.7, 0.9)],
    ['Connections', number.format(h.connections), '', ''],
    ['Sessions paired', `${number.format(h.paired)} of ${number.format(h.sessions)}`, 'phone and monitor', ''],
  ];
}

function drawHealth(data) {
  $('node').textContent = `${data.node} · ${data.version}`;
  $('health').replaceChildren(...tiles(data).map(([label, value, note, level]) => el('div', `tile ${level}`,
    el('dt', '', label, el('span', 'level', level)), el('dd', '', el('strong', '', value), el('small', '', note)))));
}

// --- the live list

const filters = $('filters');
const rows = new Map();
const pollSignal = single();
let [timer, latest, paused, opened, limit] = [0, null, false, null, FEW];

/** The filters that are set. */
function wanted() {
  const set = [...new FormData(filters)].map(([key, value]) => [key, value.trim()]).filter(([, value]) => value);
  return new URLSearchParams(set);
}

/** Since when, in ms: '15m' is counted from now. */
function since(text) {
  const [, n, unit] = text.match(/^(\d+)([mhd])$/) ?? [];
  return n ? Date.now() - n * { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit] : text;
}

function setFilters(params) {
  for (const { name, options } of filters.elements) {
    const value = params.get(name) ?? '';
    if (!name) continue;
    if (options && ![...options].some((option) => option.value === value)) {
      const label = Number(value) ? clock(Number(value)) : value;
      options.add(new Option(label, value));
    }
    filters.elements[name].value = value;
  }
  limit = FEW;
}

async function poll() {
  clearTimeout(timer);
  const signal = pollSignal();
  const listing = !opened && !paused;
  const params = listing ? wanted() : new URLSearchParams();
  if (params.has('since')) params.set('since', since(params.get('since')));
  params.set('limit', listing ? limit : 1);
  let wait = POLL_MS;
  try {
    const data = await api(`/api/flows?${params}`, signal);
    latest = data;
    main.hidden = false;
    $('admin').hidden = true;
    $('forget').hidden = !token.get();
    $('trouble').hidden = true;
    main.classList.remove('stale');
    drawHealth(data);
    if (listing) drawList(data);
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 401 || error.status === 403) return ask(error.message);
    wait = Math.max(wait, (error.retryAfter || 0) * 1000);
    complain(error, wait);
  }
  if (!document.hidden) timer = setTimeout(poll, wait);
}

function complain(error, wait) {
  const when = latest ? ` What you see is from ${clock(latest.now)}.` : '';
  const what = error.status ? `The server answered: ${error.message}.` : 'No answer from the server.';
  $('trouble').textContent = `${what}${when} Next try in ${span(wait / 1000)}.`;
  $('trouble').hidden = false;
  main.hidden = !latest && !error.status; // a filter that is refused can be changed
  main.classList.add('stale');
}

function drawList(data) {
  const first = rows.size === 0;
  const keys = new Map(data.flows.map((f) => [`${f.traceId} ${f.at} ${f.event}`, f]));
  for (const [key, row] of rows) {
    if (keys.has(key)) continue;
    row.remove();
    rows.delete(key);
  }
  // Rows that stay are not moved: they keep the focus.
  let next = $('rows').firstElementChild;
  for (const [key, f] of keys) {
    const row = rows.get(key);
    if (row) {
      next = row.nextElementSibling;
    } else {
      const made = drawRow(f);
      if (!first) made.classList.add('new');
      rows.set(key, made);
      $('rows').insertBefore(made, next);
    }
  }
  const { flows, bytes, limitBytes, reachSeconds } = data.recorder;
  $('empty').hidden = keys.size > 0;
  $('empty').textContent = wanted().size ? 'No flow that is kept matches these filters.' : 'No flow yet.';
  $('more').hidden = limit === MANY || keys.size < limit;
  $('recorder').textContent = `${count(flows, 'flow')} kept on this node, ${(bytes / 1e6).toFixed(1)} of ${(limitBytes / 1e6).toFixed(1)} MB; scans of the last ${span(reachSeconds)}.`;
}

function drawRow(f) {
  const open = link(f.flow, `#${encodeURIComponent(f.flow)}`);
  const row = el('tr', `${f.kept === 'canary' ? 'canary' : ''} ${f.totalMs >= SLOW_MS ? 'slow' : ''}`,
    titled(el('td', 'time', clock(f.at)), new Date(f.at).toISOString()),
    el('td', 'code', open),
    el('td', 'event', f.event),
    el('td', 'result', badge(f), f.code && el('small', '', f.code)),
    el('td', 'total number', column(f.totalMs)),
    el('td', 'slowest', `${f.slowest.hop} ${column(f.slowest.ms)}`),
    el('td', 'kept', f.kept),
    el('td', 'client', [f.role, f.transport].filter(Boolean).join(', ')));
  row.addEventListener('click', (event) => {
    if (event.target !== open && !getSelection().toString()) open.click();
  });
  return row;
}

const badge = (f) => el('span', `badge ${look(f)}`, f.result ?? f.outcome);

function changed() {
  limit = FEW;
  pause(false);
  history.replaceState(null, '', `#${wanted()}`);
  clearTimeout(timer);
  timer = setTimeout(poll, 250);
}
filters.addEventListener('input', changed);
filters.addEventListener('reset', () => setTimeout(changed));
filters.addEventListener('submit', (event) => event.preventDefault());
$('more').addEventListener('click', () => {
  limit = MANY;
  poll();
});
$('pause').addEventListener('click', () => {
  pause(!paused);
  poll();
});

function pause(on) {
  paused = on;
  $('pause').setAttribute('aria-pressed', on);
  $('pause').textContent = on ? 'Resume' : 'Pause';
  $('state').textContent = on ? `Paused at ${clock(Date.now())}` : 'Live';
}
document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else if ($('admin').hidden) poll();
});

// --- one flow

const flowSignal = single();

/** A flow code, trace id or error id as the server writes it; null if it is none. */
function normal(text) {
  const plain = text.trim().toLowerCase();
  const [, trace] = plain.match(/^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-/) ?? []; // a traceparent
  if (trace) return trace;
  const bare = plain.replace(/[\s-]/g, '');
  if (/^([0-9a-f]{16}|[0-9a-f]{32})$/.test(bare)) return bare;
  const code = bare.toUpperCase().replaceAll('O', '0').replace(/[IL]/g, '1');
  return /^[0-9A-HJKMNP-TV-Z]{6}$/.test(code) ? `${code.slice(0, 2)}-${code.slice(2)}` : null;
}

async function show(text) {
  const id = normal(text);
  const signal = flowSignal();
  opened = id ?? text;
  $('id').value = opened;
  $('list').hidden = true;
  $('flow').hidden = false;
  document.title = `${opened} · Signalbox`;
  if (!id) return drawNotes(`“${text}” is no id of a flow`, [
    'A flow code is six letters and digits, such as K7-QX4M: the letters I, L, O and U are not used, case and dash do not matter.',
    'An error id is 16, a trace id 32 digits and letters from a to f.',
  ]);
  try {
    latest ??= await api('/api/flows?limit=1', signal);
    const data = await api(`/api/flows/${id}`, signal);
    $('flow').replaceChildren(back(), ...data.flows.map((f) => drawFlow(f, data)));
    if (document.activeElement !== $('id')) $('flow').querySelector('h2')?.focus();
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 401 || error.status === 403) return ask(error.message);
    if (error.status === 404 && latest) return drawMissing(id, latest);
    drawNotes(`${id} could not be read: ${error.status ? error.message : 'no answer from the server'}`, []);
  }
}

const back = () => el('p', '', link('← All flows', `#${wanted()}`));

function drawNotes(heading, notes, ...more) {
  const title = el('h2', '', heading);
  title.tabIndex = -1;
  $('flow').replaceChildren(back(), el('article', 'notes', title, el('ul', '', ...notes.map((note) => el('li', '', note))), ...more));
}

function drawMissing(id, { node, recorder, health }) {
  const grep = `grep -h '${id}' logs/combined.*`;
  drawNotes(`${id} is not kept on this node`, [
    `It may be too old: ${node} keeps ${count(recorder.flows, 'flow')} in memory, scans of the last ${span(recorder.reachSeconds)}, and what failed or was slow longer. It started ${span(health.uptimeSeconds)} ago and knows nothing from before.`,
    'It may have happened on another node: a node knows only its own flows. Open the console of the others.',
    'It may be typed wrong: a flow code has no I, L, O or U, and an 8 is easily a B.',
  ], el('p', '', 'The log files reach further back than memory. On each node:'), el('p', '', copyable('command', grep)));
}

function verdict(f) {
  const slow = f.hops.find((hop) => hop.name === f.slowHop);
  if (!slow) return `No slow hop: ${ms(f.totalMs)} in total${f.medianTotalMs == null ? '' : `, the median is ${ms(f.medianTotalMs)}`}.`;
  const times = slow.medianMs && number.format(Number((slow.ms / slow.medianMs).toPrecision(2)));
  return `Slow hop: ${slow.name} took ${ms(slow.ms)}, ${times ? `${times} times its median (${ms(slow.medianMs)})` : 'and there is nothing to compare it with'}.`;
}

function drawFlow(f, { node, links }) {
  const title = el('h2', '', el('code', '', f.flow), badge(f), el('span', 'event', f.event));
  title.tabIndex = -1;
  const outcome = (RESULTS[f.result] ?? (() => OUTCOMES[f.outcome] ?? f.outcome))(f);
  const said = [outcome, verdict(f)];
  const failed = look(f) === 'failed';
  if (f.slowHop || (f.outcome === 'ok' && !failed)) said.reverse();
  const bad = f.slowHop || failed;
  const hint = HOPS[f.slowHop]?.[1];
  const facts = [
    ['Time', el('span', '', `${clock(f.at)}, ${span((Date.now() - f.at) / 1000)} ago`, el('small', '', new Date(f.at).toISOString()))],
    f.errorId && ['Error id', copyable('error id', f.errorId)],
    ['Trace id', copyable('trace id', f.traceId)],
    ['Trace store', f.sampled ? 'has it: it was sampled' : 'does not have it: it was not sampled'],
    ['Client', [f.role, f.transport].filter(Boolean).join(', ')],
    f.session && ['Session, hashed', el('code', '', f.session)],
    f.order && ['Order, hashed', el('code', '', f.order)],
    f.seq != null && ['Place in the session', `scan ${f.seq}`],
    f.monitors != null && ['Receivers', f.monitors ? count(f.monitors, 'monitor') : '0 monitors: nobody was there to see it'],
    ['Kept as', f.kept],
    ['Node', node],
  ].filter(Boolean);
  const trace = f.sampled ? away('Open the trace ↗', links.trace?.replace('{traceId}', encodeURIComponent(f.traceId))) : null;
  const board = away('Open the dashboard ↗', links.dashboard);
  const auth = token.get() ? ' --token "$TOKEN"' : '';
  const command = `signalbox explain ${f.flow} --url ${location.origin}${auth}`;
  return el('article', '', title,
    el('p', `verdict ${bad ? 'bad' : ''}`, said[0]),
    hint && el('p', 'quiet', hint),
    f.code && el('p', '', el('code', '', f.code), `: ${CODES[f.code] ?? 'see the log lines'}.`),
    el('p', '', said[1]),
    drawHops(f),
    el('p', 'actions', trace, board, copyable('command', command)),
    el('div', 'details',
      el('dl', 'facts', ...facts.flatMap(([name, value]) => [el('dt', '', name), el('dd', '', value)])),
      el('div', '', el('h3', '', f.logs.length ? `Log lines (${f.logs.length})` : 'No log line is kept for this flow.'), ...f.logs.map(drawLog))));
}

/** The waterfall: a bar for each hop, and a mark where the median one would end. */
function drawHops(f) {
  const whole = Math.max(f.totalMs, ...f.hops.map((hop) => hop.startMs + Math.max(hop.ms, hop.medianMs ?? 0)), 0.001);
  const percent = (value) => `${(100 * value) / whole}%`;
  const lines = f.hops.map((hop) => {
    const bar = el('span', 'bar');
    bar.style.left = percent(hop.startMs);
    bar.style.width = percent(hop.ms);
    const track = el('td', 'track', bar);
    if (hop.medianMs != null) {
      const mark = titled(el('span', 'mark'), `median ${ms(hop.medianMs)}`);
      mark.style.left = percent(hop.startMs + hop.medianMs);
      track.append(mark);
    }
    const name = el('th', '', hop.name, el('small', '', HOPS[hop.name]?.[0] ?? ''));
    name.scope = 'row';
    return el('tr', hop.slow ? 'slow' : '', name, track,
      el('td', 'number', ms(hop.ms), el('small', '', hop.medianMs == null ? 'no median' : `median ${ms(hop.medianMs)}`)));
  });
  const total = el('tr', 'sum', el('th', '', 'total'), el('td', 'scale', el('span', '', '0'), el('span', '', ms(whole))),
    el('td', 'number', ms(f.totalMs), el('small', '', f.medianTotalMs == null ? '' : `median ${ms(f.medianTotalMs)}`)));
  const caption = el('caption', '', el('span', 'mark'), f.comparedWith ? ` median of ${count(f.comparedWith, 'flow')} of this event` : ' median; there is none yet');
  return el('table', 'hops', caption, el('tbody', '', ...lines, total));
}

function drawLog(line) {
  const first = LOG_FIRST.filter((key) => key in line);
  const sorted = Object.fromEntries([...first, ...Object.keys(line).filter((key) => !first.includes(key))].map((key) => [key, line[key]]));
  const text = JSON.stringify(sorted, null, 2);
  const level = el('span', `badge ${line.level === 'ERROR' ? 'failed' : line.level === 'WARN' ? 'refused' : ''}`, line.level);
  const pre = el('pre', '', text);
  pre.tabIndex = 0;
  return el('div', 'log', el('p', '', level, ` ${line.message}`), pre, copier('log line', text));
}

// --- what is open follows the address bar

function route() {
  let text = location.hash.slice(1);
  try {
    text = decodeURIComponent(text);
  } catch { /* as it is */ }
  if (text && !text.includes('=')) return show(text);
  flowSignal();
  const before = opened;
  opened = null;
  setFilters(new URLSearchParams(location.hash.slice(1)));
  document.title = 'Signalbox';
  $('flow').hidden = true;
  $('flow').replaceChildren();
  $('list').hidden = false;
  if (before) [...$('rows').getElementsByTagName('a')].find((a) => a.textContent === before)?.focus();
  poll();
}

function start() {
  $('admin').hidden = true;
  route();
  if (opened) poll();
}

addEventListener('hashchange', () => $('admin').hidden && route());
$('find').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('id').value.trim();
  if (!text) return;
  const hash = `#${encodeURIComponent(normal(text) ?? text)}`;
  if (location.hash === hash) route();
  else location.hash = hash;
  $('id').select();
});
addEventListener('keydown', (event) => {
  const typing = event.target.matches?.('input, select, textarea');
  if (event.key === '/' && !typing) {
    event.preventDefault();
    $('id').select();
  } else if (event.key === 'Escape' && opened) {
    location.hash = `#${wanted()}`;
  }
});

start();
