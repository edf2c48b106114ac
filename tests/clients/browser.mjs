// Debian's Chromium for tests: finds it, launches it, and notes what must never happen in a page.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

function browserPath() {
  const inPath = process.env.PATH.split(path.delimiter).map((dir) => path.join(dir, 'chromium'));
  const found = process.env.CHROMIUM_BIN ?? inPath.find((file) => fs.existsSync(file));
  assert.ok(found, 'these tests need chromium, in PATH or as CHROMIUM_BIN');
  return found;
}

export const launch = (...args) => chromium.launch({ executablePath: browserPath(), args: ['--no-sandbox', ...args] });

/**
 * What the browser itself writes to the console while a server or the network is away: for a request, for one that went through
 * a service worker (the same as ERR_FAILED, without the reason), for a service worker that could not be fetched, for a WebSocket.
 */
export const AWAY = new RegExp([
  'ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INTERNET_DISCONNECTED|NETWORK_CHANGED)',
  'Failed to load resource: net::ERR_FAILED',
  'An unknown error occurred when fetching the script',
  'WebSocket connection to',
].join('|'));
/** What it means that `watch` noted nothing. */
export const NOTHING = 'no error, no dialog, nothing refused by the content policy, no foreign request';

/**
 * Notes in `wrong` what must never happen in the pages of a context: errors, also in the console, dialogs, and requests to
 * other origins than these. The browser itself writes refusals and lost connections to the console: `forgive` says which are meant.
 */
export function watch(context, wrong, { origins, forgive = /^$/ }) {
  context.on('weberror', (event) => wrong.push(event.error().stack ?? event.error().message));
  context.on('dialog', async (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  context.on('console', (message) => {
    const text = `${message.text()} ${message.location().url}`;
    if (message.type() === 'error' && !forgive.test(text)) wrong.push(text);
  });
  const requested = (address) => {
    const url = new URL(address);
    const origin = url.origin.replace(/^ws/, 'http');
    if (!['data:', 'blob:'].includes(url.protocol) && !origins.includes(origin)) wrong.push(`a request to ${address}`);
  };
  context.on('request', (request) => requested(request.url()));
  context.on('page', (page) => page.on('websocket', (socket) => requested(socket.url())));
}
