// Takes the README's pictures of a monitor, a phone and a chat: node tests/clients/page-pictures.mjs http://127.0.0.1:3000
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';
import { camera } from './camera.mjs';

const images = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../docs/images');
const TYPED = ['SO-20417', 'SO-20391', 'RMA-1187', 'SO-20418', 'SO-20420'];
const SEEN = { symbology: 'code128', text: 'SO-20422' };
const SAID = [
  'Did the new scanner arrive?',
  'This morning. It reads every code, also the torn ones.',
  'Then let us put it at table seven after lunch. The old one goes to the office, they scan three parcels a day there and are fine with it.',
  'Good. I bring the stand.',
];
const MOST_BYTES = 150_000;

const [, , address] = process.argv;
if (!address) throw new Error('which server? For example: node tests/clients/page-pictures.mjs http://127.0.0.1:3000');

async function picture(page, name) {
  const file = path.join(images, name);
  const bytes = await page.screenshot({ path: file });
  if (bytes.length > MOST_BYTES) throw new Error(`${file} has ${bytes.length} bytes`);
  console.log(`${path.relative(process.cwd(), file)}: ${bytes.length} bytes`);
}

fs.mkdirSync(images, { recursive: true });
const browser = await launch(...camera([SEEN]));
try {
  const monitor = await browser.newPage({ viewport: { width: 1280, height: 720 }, reducedMotion: 'reduce' });
  await monitor.goto(new URL('/monitor', address).href);
  await monitor.locator('#qr svg').waitFor();

  const phone = await browser.newPage({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5, reducedMotion: 'reduce' });
  await phone.goto(await monitor.locator('#qr').getAttribute('data-url'));
  const camera = phone.locator('#camera-switch');
  await phone.locator('#view[data-running]').waitFor();
  await camera.click();
  for (const order of TYPED) {
    await phone.locator('#manual').fill(order);
    await phone.locator('#manual').press('Enter');
    await phone.locator('#outbox li[data-state=displayed]', { hasText: order }).waitFor();
  }
  await camera.click();
  await phone.locator('#outbox li[data-state=displayed]', { hasText: SEEN.text }).first().waitFor();
  await phone.locator('#view[data-hit]').waitFor();
  await picture(phone, 'phone.png');
  await picture(monitor, 'monitor.png');

  const people = [];
  for (let link = new URL('/chat', address).href; people.length < 2; link = await people[0].locator('#link').inputValue()) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, reducedMotion: 'reduce' });
    await page.goto(link);
    await page.waitForFunction(() => document.querySelector('#link').value);
    people.push(page);
  }
  for (const [i, text] of SAID.entries()) {
    await people[i % 2].locator('#text').fill(text);
    await people[i % 2].locator('#send').click();
    for (const page of people) await page.locator('#lines [data-state=sent]', { hasText: text }).waitFor();
  }
  await picture(people[0], 'chat.png');
} finally {
  await browser.close();
}
