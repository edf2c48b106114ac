// The chat: what is said arrives once and in order, whatever happens to the connection, the server or the page.
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { breaks, endpoint, refuses, says as writes, stalls } from '../../../tests/clients/openai.mjs';
import { type Chat, type ChatOptions, type ChatRoom, createChat } from '../src/index.js';
import {
  type Server, connected, dataDir, freePort, killed, launched, linkByHand, linked, network, settled, started, storage, tidy, token, until,
} from './helpers.js';

let server: Server;
let users = 0;

beforeAll(async () => {
  server = await launched();
});
afterAll(() => server.stop());

/** A name that no other test uses. */
const someone = (name: string) => `${name}-${(users += 1)}`;

/** A user's chat, connected and told which rooms there are. */
async function chatting(user: string, url = server.url, options: ChatOptions = { storage: storage() }) {
  const link = linked(url, user);
  const chat = tidy(createChat(link, options));
  await until('the rooms', () => chat.loaded);
  return Object.assign(chat, { link, user });
}

/** Two users in a room of theirs. */
async function pair(urls: { mina?: string; jun?: string } = {}) {
  const [mina, jun] = [await chatting(someone('mina'), urls.mina), await chatting(someone('jun'), urls.jun)];
  const { roomID } = await mina.create('Lunch', [jun.user]);
  await until('both to hear the room', () => [mina, jun].every((chat) => chat.room(roomID)?.loaded));
  return { mina, jun, roomID };
}

const texts = (chat: Chat, roomID: string) => chat.room(roomID)!.lines.map(({ content }) => content);
const states = (chat: Chat, roomID: string) => chat.room(roomID)!.lines.map(({ content, state }) => `${content} ${state}`);
/** These are there, once each and in this order, and the server has all of them. */
const reads = (chat: Chat, roomID: string, all: string[]) =>
  until(`${all.length} lines`, () => states(chat, roomID).join('|') === all.map((content) => `${content} sent`).join('|'));
const numbered = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `line ${from + i}`);

/** Says it without a chat, one after the other. */
async function say(user: string, roomID: string, contents: string[], url = server.url) {
  const link = linked(url, user);
  await connected(link);
  const said = [];
  for (const content of contents) said.push(await link.ask('message', { roomID, content }) as { id: number; createdAt: number });
  link.close();
  return said;
}

describe('rooms', () => {
  it('are there for everybody who takes part, at once and after a reload', async () => {
    const { mina, jun, roomID } = await pair();
    const expected = { roomID, name: 'Lunch', ownerId: mina.user, lines: [], hasOlder: false, loaded: true };
    expect(mina.room(roomID)).toMatchObject({ ...expected, own: true });
    expect(jun.room(roomID)).toMatchObject({ ...expected, own: false });
    expect(jun.room(roomID)!.participants.map(({ userId }) => userId).sort()).toEqual([jun.user, mina.user].sort());
    const again = await chatting(jun.user);
    await until('the room', () => again.rooms.length === 1 && again.rooms[0]!.loaded);
    expect(again.room(roomID)).toMatchObject({ ...expected, own: false });
  });

  it('come in the order in which something was said last', async () => {
    const mina = await chatting(someone('mina'));
    const rooms: ChatRoom[] = [];
    for (const name of ['A', 'B', 'C']) rooms.push(await mina.create(name, []));
    mina.send(rooms[0]!.roomID, 'here');
    await until('it to be sent', () => mina.room(rooms[0]!.roomID)!.lines[0]!.state === 'sent');
    expect(mina.rooms.map(({ name }) => name)).toEqual(['A', 'C', 'B']);
  });

  it('that cannot be begun say why', async () => {
    const mina = await chatting(someone('mina'));
    await expect(mina.create('', [])).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
    await expect(mina.create('x', Array(201).fill('y'))).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
    expect(mina.rooms).toEqual([]);
  });

  it('are gone for all when their owner deletes them, and for whoever leaves them', async () => {
    const { mina, jun, roomID } = await pair();
    expect(await jun.remove(roomID)).toBe(false);
    expect(jun.rooms).toEqual([]);
    await until('one participant', () => mina.room(roomID)!.participants.length === 1);
    expect(await mina.remove(roomID)).toBe(true);
    expect(mina.rooms).toEqual([]);
    await expect(jun.remove(roomID)).rejects.toMatchObject({ code: 'FORBIDDEN' });

    const other = await pair();
    await other.mina.remove(other.roomID);
    await until('the end of the room', () => other.jun.rooms.length === 0);
  });

  it('that began or ended while the connection was lost are known after it', async () => {
    const way = await network(server.port);
    const { mina, jun, roomID } = await pair({ jun: way.url });
    way.down();
    await until('the loss', () => jun.link.state !== 'connected');
    await mina.remove(roomID);
    const { roomID: fresh } = await mina.create('Dinner', [jun.user]);
    mina.send(fresh, 'hungry?');
    way.up();
    await until('the new room alone', () => jun.rooms.map(({ name }) => name).join() === 'Dinner');
    await reads(jun, fresh, ['hungry?']);
  });
});

it('more rooms than a socket may hear are there all the same: the one that is looked at is heard, the others are asked about', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { url } = await started({ ROOMS_PER_SOCKET: '2' });
  const writer = await chatting(someone('jun'), url);
  const reader = await chatting(someone('mina'), url);
  const ids: string[] = [];
  for (const name of ['A', 'B', 'C']) ids.push((await writer.create(name, [reader.user])).roomID);
  await until('all rooms', () => ids.every((roomID) => reader.room(roomID)?.loaded));
  for (const roomID of ids.toReversed()) {
    reader.open(roomID);
    await say(writer.user, roomID, ['looked at'], url);
    await reads(reader, roomID, ['looked at']);
  }
  for (const roomID of ids) await say(writer.user, roomID, ['later'], url);
  await until('what is said everywhere', () => {
    vi.advanceTimersByTime(30_000);
    return ids.every((roomID) => texts(reader, roomID).join() === 'looked at,later');
  });
  vi.useRealTimers();
});

describe('messages', () => {
  it('arrive once and in order for everybody, whoever says them', async () => {
    const { mina, jun, roomID } = await pair();
    const lines = numbered(30);
    for (const [i, line] of lines.entries()) (i % 2 ? jun : mina).send(roomID, line);
    const whole = (chat: Chat) => chat.room(roomID)!.lines.filter(({ state }) => state === 'sent').length === 30;
    await until('all of them', () => whole(mina) && whole(jun));
    expect(texts(mina, roomID)).toEqual(texts(jun, roomID));
    expect(texts(mina, roomID).filter((_, i) => mina.room(roomID)!.lines[i]!.own)).toEqual(lines.filter((_, i) => i % 2 === 0));
    expect(jun.room(roomID)!.lines.filter(({ own }) => own).length).toBe(15);
    const times = jun.room(roomID)!.lines.map(({ createdAt }) => createdAt);
    expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
  });

  it('keep their key when they are sent, and nothing that was given out changes', async () => {
    const { mina, roomID } = await pair();
    const line = mina.send(roomID, '안녕 <b>👋</b>');
    const before = mina.room(roomID)!;
    expect(before.lines).toEqual([line]);
    expect(line).toMatchObject({ id: null, own: true, userId: mina.user, content: '안녕 <b>👋</b>', state: 'waiting' });
    await reads(mina, roomID, ['안녕 <b>👋</b>']);
    expect(mina.room(roomID)!.lines[0]).toMatchObject({ key: line.key, id: expect.any(Number), content: '안녕 <b>👋</b>' });
    expect(before.lines).toEqual([line]);
  });

  it('that cannot be are refused before they are sent', async () => {
    const { mina, roomID } = await pair();
    for (const content of ['', 'a\0b']) expect(() => mina.send(roomID, content)).toThrow(expect.objectContaining({ code: 'VALIDATION_ERROR' }));
    expect(() => mina.send(roomID, '한'.repeat(5462))).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }));
    const longest = `${'한'.repeat(5461)}!`;
    mina.send(roomID, longest);
    await reads(mina, roomID, [longest]);
  });

  it('that the server never takes are refused, can be sent again and forgotten, and do not stop the others', async () => {
    const byHand = linkByHand();
    const chat = tidy(createChat(Object.assign(byHand.link, { user: 'mina', subscribe: () => () => {} }), { storage: storage() }));
    const { key } = chat.send('r', 'one');
    chat.send('r', '@GPT two');
    chat.send('r', 'three');
    await byHand.connect();
    const [first] = byHand.waiting('message');
    await first!.refuse('FORBIDDEN');
    await byHand.waiting('message')[0]!.refuse('UNAVAILABLE');
    expect(byHand.waiting('message').map(({ payload }) => payload.content)).toEqual(['three']);
    await byHand.waiting('message')[0]!.answer({ success: true, id: 1, createdAt: 1 });
    chat.retry(key);
    await settled();
    expect(byHand.waiting('message').map(({ payload }) => payload)).toEqual([first!.payload]);
    await byHand.waiting('message')[0]!.refuse('FORBIDDEN');
    chat.discard(key);
    chat.retry(key);
    await settled();
    expect(byHand.waiting('message')).toEqual([]);
  });

  it('wait while there is no connection, and arrive once and in order after it', async () => {
    const way = await network(server.port);
    const { mina, jun, roomID } = await pair({ mina: way.url });
    mina.send(roomID, 'line 1');
    for (const chat of [mina, jun]) await reads(chat, roomID, ['line 1']);
    way.down();
    for (const line of numbered(5, 2)) mina.send(roomID, line);
    expect(states(mina, roomID)).toEqual(['line 1 sent', ...numbered(5, 2).map((line) => `${line} waiting`)]);
    jun.send(roomID, 'are you there?');
    await reads(jun, roomID, ['line 1', 'are you there?']);
    way.up();
    await reads(jun, roomID, ['line 1', 'are you there?', ...numbered(5, 2)]);
    await reads(mina, roomID, ['line 1', 'are you there?', ...numbered(5, 2)]);
  });

  it('whose acknowledgement was lost are there once', async () => {
    const way = await network(server.port);
    const { mina, jun, roomID } = await pair({ mina: way.url });
    way.swallowAnswers();
    mina.send(roomID, 'once');
    mina.send(roomID, 'and then');
    await reads(jun, roomID, ['once']);
    way.down();
    way.up();
    await reads(jun, roomID, ['once', 'and then']);
    await reads(mina, roomID, ['once', 'and then']);
  });

  it('survive a server that is killed', async () => {
    const settings = { PORT: String(await freePort()), DATA_DIR: dataDir() };
    const first = await launched(settings);
    const [mina, jun] = [await chatting(someone('mina'), first.url), await chatting(someone('jun'), first.url)];
    const { roomID } = await mina.create('Lunch', [jun.user]);
    mina.send(roomID, 'line 1');
    await until('the room', () => jun.room(roomID)?.loaded);
    await reads(jun, roomID, ['line 1']);
    await killed(first);
    for (const line of numbered(4, 2)) mina.send(roomID, line);
    await started(settings);
    await reads(jun, roomID, numbered(5));
    await reads(mina, roomID, numbered(5));
  });

  it('that wait survive a reload, for the same user alone', async () => {
    const { mina, jun, roomID } = await pair();
    const kept = storage();
    const way = await network(server.port);
    const before = await chatting(mina.user, way.url, { storage: kept });
    await until('the room', () => before.room(roomID)?.loaded);
    way.down();
    before.send(roomID, 'line 1');
    before.send(roomID, 'line 2');
    before.close();
    before.link.close();
    const copy = storage();
    copy.setItem('signalbox:chat', kept.getItem('signalbox:chat')!);
    await chatting(someone('eve'), server.url, { storage: copy });
    expect(copy.getItem('signalbox:chat')).not.toContain('line 1');
    await chatting(mina.user, server.url, { storage: kept });
    await reads(jun, roomID, ['line 1', 'line 2']);
    await reads(mina, roomID, ['line 1', 'line 2']);
    expect(kept.getItem('signalbox:chat')).not.toContain('line 1');
  });
});

describe('edits', () => {
  it('are seen by everybody, and only authors make them', async () => {
    const { mina, jun, roomID } = await pair();
    mina.send(roomID, 'thus');
    await reads(jun, roomID, ['thus']);
    const id = jun.room(roomID)!.lines[0]!.id!;
    await expect(jun.edit(roomID, id, 'that')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(mina.edit(roomID, id + 1_000_000, 'that')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await mina.edit(roomID, id, 'this');
    expect(mina.room(roomID)!.lines[0]).toMatchObject({ content: 'this', editedAt: expect.any(Number) });
    await reads(jun, roomID, ['this']);
    expect(jun.room(roomID)!.lines[0]!.editedAt).toBe(mina.room(roomID)!.lines[0]!.editedAt);
  });

  it('that were made while the connection was lost are seen after it', async () => {
    const way = await network(server.port);
    const { mina, jun, roomID } = await pair({ jun: way.url });
    for (const line of numbered(3)) mina.send(roomID, line);
    await reads(jun, roomID, numbered(3));
    way.down();
    await until('the loss', () => jun.link.state !== 'connected');
    await mina.edit(roomID, mina.room(roomID)!.lines[1]!.id!, 'LINE 2');
    mina.send(roomID, 'line 4');
    way.up();
    await reads(jun, roomID, ['line 1', 'LINE 2', 'line 3', 'line 4']);
  });
});

describe('history', () => {
  it('is there page by page, without gaps and repeats', async () => {
    const { mina, jun, roomID } = await pair();
    const all = numbered(120);
    await say(mina.user, roomID, all);
    const late = await chatting(jun.user);
    await until('the last page', () => late.room(roomID)?.loaded);
    expect(texts(late, roomID)).toEqual(all.slice(-50));
    expect(late.room(roomID)!.hasOlder).toBe(true);
    await Promise.all([late.older(roomID), late.older(roomID)]);
    expect(texts(late, roomID)).toEqual(all.slice(-100));
    await late.older(roomID);
    expect(texts(late, roomID)).toEqual(all);
    expect(late.room(roomID)!.hasOlder).toBe(false);
    await late.older(roomID);
    expect(texts(late, roomID)).toEqual(all);
  });

  it('that was made during a long absence is caught up with, however much it is', async () => {
    const way = await network(server.port);
    const { mina, jun, roomID } = await pair({ jun: way.url });
    await say(mina.user, roomID, numbered(40));
    await reads(jun, roomID, numbered(40));
    way.down();
    await until('the loss', () => jun.link.state !== 'connected');
    await say(mina.user, roomID, numbered(230, 41));
    const talking = say(mina.user, roomID, numbered(30, 271));
    way.up();
    await talking;
    await reads(jun, roomID, numbered(300));
  });
});

describe('the assistant', () => {
  type Answer = (response: ServerResponse) => unknown;

  /** A server with an assistant that answers so. */
  async function assisted(...answers: Answer[]) {
    const fake = tidy(await endpoint() as unknown as { url: string; answers: Answer[]; close(): Promise<void> });
    fake.answers.push(...answers);
    return started({ GPT_BASE_URL: fake.url, GPT_MODEL: 'fake' });
  }

  /** Two users in a room there. */
  async function asking(...answers: Answer[]) {
    const { url } = await assisted(...answers);
    return pair({ mina: url, jun: url });
  }

  it('writes piece by piece below what was said, until the whole answer is there', async () => {
    let go!: () => void;
    const rest = new Promise<void>((resolve) => (go = resolve));
    const { mina, jun, roomID } = await asking(async (response: ServerResponse) => {
      const write = (content: string) => response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      ['It is ', 'the first '].forEach(write);
      await rest;
      write('answer.');
      response.end('data: [DONE]\n\n');
    });
    mina.send(roomID, '@gpt which one?');
    await until('two pieces', () => [mina, jun].every((chat) => texts(chat, roomID)[1] === 'It is the first '));
    jun.send(roomID, 'let us see');
    const expected = ['@gpt which one? sent', 'let us see sent', 'It is the first  writing'];
    await until('the answer below it', () => states(mina, roomID).join('|') === expected.join('|'));
    const [, , writing] = mina.room(roomID)!.lines;
    expect(writing).toMatchObject({ id: null, userId: 'gpt', gpt: true, own: false });
    go();
    for (const chat of [mina, jun]) await reads(chat, roomID, ['@gpt which one?', 'let us see', 'It is the first answer.']);
    expect(mina.room(roomID)!.lines[2]!.key).toBe(writing!.key);
  });

  it('begins anew where it broke off, and says where it failed', async () => {
    const { mina, jun, roomID } = await asking(breaks('It is '), writes(['the ', 'second.']), refuses(400));
    mina.send(roomID, 'which one?', { gpt: true });
    for (const chat of [mina, jun]) await reads(chat, roomID, ['which one?', 'the second.']);
    mina.send(roomID, '@GPT and now?');
    await until('the failure', () => states(jun, roomID).join('|') === 'which one? sent|the second. sent|@GPT and now? sent| failed');
    mina.send(roomID, 'never mind');
    await until('the order', () => texts(jun, roomID).at(-1) === 'never mind');
    expect(jun.room(roomID)!.lines[3]).toMatchObject({ state: 'failed', error: { code: 'UNAVAILABLE' } });
  });

  it('is asked once where the server has none, and what is said after that goes on', async () => {
    const { mina, jun, roomID } = await pair();
    const { key } = mina.send(roomID, '@gpt hello?');
    mina.send(roomID, 'nobody there');
    await reads(jun, roomID, ['nobody there']);
    expect(mina.room(roomID)!.lines.at(-1)).toMatchObject({ key, state: 'refused', error: { code: 'UNAVAILABLE' } });
    mina.discard(key);
    await reads(mina, roomID, ['nobody there']);
  });

  it('leaves nothing half-written after a lost connection', async () => {
    const { port, url } = await assisted(stalls('It is '));
    const way = await network(port);
    const { mina, roomID } = await pair({ mina: way.url, jun: url });
    mina.send(roomID, '@gpt which one?');
    await until('a piece', () => states(mina, roomID).at(-1) === 'It is  writing');
    way.down();
    await until('the loss', () => texts(mina, roomID).length === 1);
  });
});

it('whoever may not chat is told why', async () => {
  const guests = await started({ SIGNALING_AUTH: 'optional' });
  const link = linked(guests.url, 'nobody', { token: () => null });
  const chat = tidy(createChat(link, { storage: storage() }));
  await until('the reason', () => chat.problem !== null);
  expect(['FORBIDDEN', 'AUTH_ERROR']).toContain(chat.problem!.code);
  expect(link.user).toBe(null);
});

it('a link knows whose its token is', async () => {
  const link = linked(server.url, '미나', { token: () => token('미나', { userId: 7 }) });
  await connected(link);
  expect(link.user).toBe(7);
  await expect(link.request('/api/nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
