// Draws docs/images/console.png: one scan that waited for a locked database, between many that did not.
//   cargo build --release && SIGNALBOX_BIN=$PWD/target/release/signalbox node tests/observability/console-picture.mjs
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { inSession, nonce, startServer, UNLIMITED, until } from '../clients/server.mjs';
import { root } from './stack.mjs';

const PAIRS = 8;
const SCANS = 30;
// Another program has the database for so long, in seconds.
const LOCK = `
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
time.sleep(0.3)
db.execute('ROLLBACK')
`;

const data = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-picture-'));
const server = await startServer({ ...UNLIMITED, DATA_DIR: data, NODE_NAME: 'packing-hall', CANARY_INTERVAL: '2s' });
process.on('exit', () => {
  server.kill('SIGKILL');
  fs.rmSync(data, { recursive: true, force: true });
});

const stations = await Promise.all(Array.from({ length: PAIRS }, async (_, i) => {
  const session = `packing-${i + 1}`;
  const monitor = await inSession(server.url, `monitor-${i}`, 'monitor', session);
  monitor.on('navigate', (_order, shown) => setTimeout(shown, 12));
  const phone = await inSession(server.url, `phone-${i}`, 'mobile', session);
  return (orderNo) => phone.emitWithAck('scanOrder', { sessionId: session, orderNo, ts: Date.now(), nonce: nonce() });
}));
for (let n = 0; n < SCANS; n += 1) await Promise.all(stations.map((scan, i) => scan(`A-${n}-${i}`)));

const database = path.join(data, fs.readdirSync(data).find((file) => file.endsWith('.db')));
const locker = spawn('python3', ['-c', LOCK, database], { stdio: ['ignore', 'pipe', 'inherit'] });
await new Promise((resolve) => locker.stdout.once('data', resolve));
const { flow } = await stations[6]('ORD-20811');
const flowOf = async () => (await (await fetch(`${server.url}/api/flows/${flow}`)).json()).flows;
await until('the receipt and the log line', async () => (await flowOf()).length === 2 && (await flowOf())[0].logs.length > 0);

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1240, height: 800 } });
await page.goto(`${server.url}/console#${flow}`);
await page.locator('.verdict').first().waitFor();
await page.screenshot({ path: path.join(root, 'docs/images/console.png') });
await browser.close();
console.log(execFileSync(process.env.SIGNALBOX_BIN ?? path.join(root, 'target/debug/signalbox'), ['explain', flow, '--url', server.url], { encoding: 'utf8' }));
process.exit(0);
