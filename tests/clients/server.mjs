// Starts the program on a free port with its own directory, and ends it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { io } from 'socket.io-client';
import { validated } from './schema.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = process.env.SIGNALBOX_BIN ?? path.join(root, 'target/debug/signalbox');
export const SECRET = 'client-tests-secret-0123456789-0123456789';

/** Limits far away: these tests are about delivery. */
export const UNLIMITED = {
  EVENT_RATE: '1000000', EVENT_BURST: '1000000', HANDSHAKES_PER_USER_PER_MIN: '1000000',
  SOCKETS_PER_USER: '100000', SOCKETS_PENDING_PER_ADDRESS: '100000', INBOX_MAX: '100000',
};

// A test that failed half-way leaves nothing behind.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export async function startServer(settings = {}, args = []) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-clients-'));
  const child = spawn(binary, args, {
    cwd: dir,
    env: { PORT: '0', HOST: '127.0.0.1', SOCKET_JWT_SECRET: SECRET, LOG_CONSOLE: 'off', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  const exited = new Promise((resolve) => child.on('exit', (code) => {
    running.delete(child);
    resolve(code);
  }));
  const url = await new Promise((resolve, reject) => {
    let out = '';
    child.stdout.on('data', (data) => {
      out += data;
      const found = out.match(/listens on (https?:\/\/\S+)/);
      if (found) resolve(found[1]);
    });
    exited.then((code) => reject(new Error(`the server ended with ${code}`)));
  });
  return {
    url,
    port: Number(new URL(url).port),
    exited,
    kill: (signal) => child.kill(signal),
    async stop() {
      child.kill('SIGKILL');
      await exited;
      fs.rmSync(dir, { recursive: true, force: true });
    },
    /** The complete lines of the log so far. */
    log() {
      const logs = path.join(dir, 'logs');
      const files = fs.readdirSync(logs).filter((f) => f.startsWith('combined'));
      return files.flatMap((f) => fs.readFileSync(path.join(logs, f), 'utf8').split('\n').slice(0, -1));
    },
    async metrics() {
      const text = await (await fetch(`${url}/metrics`)).text();
      const lines = text.split('\n').filter((l) => l && !l.startsWith('#'));
      return Object.fromEntries(lines.map((l) => [l.slice(0, l.lastIndexOf(' ')), Number(l.slice(l.lastIndexOf(' ') + 1))]));
    },
  };
}

export function token(user, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, exp, ...claims })}`;
  return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
}

export const TRANSPORTS = {
  'websocket only': ['websocket'],
  'polling only': ['polling'],
  'polling with the upgrade': ['polling', 'websocket'],
};

/** A socket of the official client that shares nothing with others; a test fails when it gets what docs/events.json does not know. */
export function client(url, user, role, options = {}) {
  return validated(io(url, { auth: { token: token(user, { role }) }, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options }));
}

export function once(socket, event, ms = 20_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} within ${ms} ms`)), ms);
    socket.once(event, (...given) => {
      clearTimeout(timer);
      // What asks for an acknowledgement brings a function along.
      const args = given.filter((arg) => typeof arg !== 'function');
      resolve(args.length > 1 ? args : args[0]);
    });
  });
}

/** Waits for a condition, not for a time. */
export async function until(what, check, ms = 20_000) {
  const end = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Registered and in a session, as the original clients do it. */
export async function inSession(url, user, role, session, options) {
  const socket = client(url, user, role, options);
  const enter = () => {
    socket.emit('registerClient', { role });
    socket.emit('joinSession', { sessionId: session });
  };
  socket.on('connect', enter);
  await once(socket, 'joinedSession');
  return socket;
}

/** Free, and below the ports that the kernel gives to clients: one that waits for a server could be given its port. */
export async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    const probe = net.createServer();
    const free = await new Promise((resolve) => probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
    if (free) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
  }
}

/** A TCP relay, like a load balancer: to whichever port of the list accepts first. */
export async function balancer(ports) {
  const server = net.createServer((from) => {
    const attempt = (left) => {
      if (left.length === 0) return from.destroy();
      const to = net.connect({ port: left[0], host: '127.0.0.1' });
      to.on('connect', () => {
        from.pipe(to).pipe(from);
      });
      to.on('error', () => (to.connecting || !to.bytesRead ? attempt(left.slice(1)) : from.destroy()));
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      to.on('close', () => from.destroy());
    };
    attempt(ports());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** The error of an answer without its flow code, which every one has. */
export function errorOf(answer) {
  const { flow, ...error } = answer.error;
  assert.match(flow, /^[0-9A-Z]{2}-[0-9A-Z]{4}$/, JSON.stringify(answer));
  return error;
}

export const nonce = () => randomBytes(8).toString('hex');
