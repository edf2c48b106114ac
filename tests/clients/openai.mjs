// An endpoint as OpenAI has it, on this machine: it answers each request as it is told, well or badly, and remembers what it was asked.
import http from 'node:http';
import { Readable, pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const chunk = (choices, more) => data({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'fake', choices, ...more });
const delta = (content) => chunk([{ index: 0, delta: { content }, finish_reason: null }]);
const BEGIN = chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]);
const STOP = chunk([{ index: 0, delta: {}, finish_reason: 'stop' }]);
const DONE = data('[DONE]');

/** The head of a stream, and its first line. */
function begin(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(BEGIN);
}

// What becomes of a request. Each takes the response, and ends when it has done its part.

/** All is well: these pieces, each when it is there, and what they cost. */
export const says = (pieces, { usage, between = 0 } = {}) => async (response) => {
  begin(response);
  for (const piece of pieces) {
    if (between) await sleep(between);
    if (response.destroyed) return;
    response.write(delta(await piece));
  }
  response.end(STOP + (usage ? chunk([], { usage }) : '') + DONE);
};

/** The same as a proxy may pass it on: with comments, events by name and CRLF, and each byte by itself. */
export const trickles = (pieces) => async (response) => {
  begin(response);
  const text = [': a comment\n\n', ...pieces.map((piece) => `event: message\n${delta(piece)}`), STOP, DONE].join('').replaceAll('\n', '\r\n');
  for (const byte of Buffer.from(text)) {
    response.write(Buffer.of(byte));
    // One TCP packet at a time.
    await new Promise(setImmediate);
  }
  response.end();
};

/** Another answer, as soon as this promise has come true. */
export const waits = (promise, answer) => async (response) => {
  await promise;
  await answer(response);
};

/** These pieces, and then nothing more for ever. */
export const stalls = (...pieces) => (response) => {
  begin(response);
  pieces.forEach((piece) => response.write(delta(piece)));
};

/** Not even a head. */
export const hangs = () => () => {};

/** These pieces, and then the connection is gone. */
export const breaks = (...pieces) => async (response) => {
  begin(response);
  for (const piece of pieces) response.write(delta(piece));
  // The pieces are to arrive.
  await sleep(50);
  response.socket.destroy();
};

/** Gone before there was an answer. */
export const hangsUp = () => (response) => response.socket.destroy();

/** Writes it again and again, as long as anybody reads. */
function forever(response, text) {
  const again = function* () { for (;;) yield text; };
  pipeline(Readable.from(again()), response, () => {});
}

/** A piece without end. */
export const neverEnds = (piece) => (response) => {
  begin(response);
  forever(response, delta(piece));
};

/** A line without end. */
export const neverBreaksTheLine = () => (response) => {
  begin(response);
  response.write('data: "');
  forever(response, 'x'.repeat(65_536));
};

/** An error as OpenAI words it, or a page. */
export const refuses = (status, { headers = {}, message = 'no' } = {}) => (response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message, type: 'fake', code: null } }));
};
export const shows = (status, page = '<!doctype html><html><title>Bad gateway</title><h1>Bad gateway</h1></html>') => (response) => {
  response.writeHead(status, { 'content-type': 'text/html' });
  response.end(page);
};

/** A stream of events, but what is in them is not what it should be. */
export const streams = (...payloads) => (response) => {
  begin(response);
  response.end(payloads.map(data).join('') + DONE);
};

/** Bytes that are no stream of events at all. */
export const babbles = () => (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 151) % 256)));
};

/**
 * The endpoint. `answers` are for the next requests, one each; then it gives `otherwise`.
 * `requests` has what came: `{ at, method, path, headers, body, open, over }`, where `over` resolves when its connection is done with it,
 * to `true` if the answer was complete by then.
 */
export async function endpoint(otherwise = says(['fine'])) {
  const fake = { answers: [], otherwise, requests: [] };
  const server = http.createServer(async (request, response) => {
    const bytes = [];
    for await (const some of request) bytes.push(some);
    const entry = { at: performance.now(), method: request.method, path: request.url, headers: request.headers, open: true };
    entry.body = JSON.parse(Buffer.concat(bytes).toString());
    entry.over = new Promise((resolve) => response.once('close', () => {
      entry.open = false;
      resolve(response.writableFinished);
    }));
    fake.requests.push(entry);
    await (fake.answers.shift() ?? fake.otherwise)(response, entry);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  fake.url = `http://127.0.0.1:${server.address().port}/v1`;
  fake.open = () => fake.requests.filter((request) => request.open).length;
  fake.close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return fake;
}
