// What Chromium's fake camera sees: a video of labels, drawn from their bare modules; and a reader for pictures of such.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import bwipjs from 'bwip-js';
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader';

const WIDTH = 640;
const HEIGHT = 480;
const FRAMES_PER_SECOND = 5;
const PAPER = 225;
const INK = 30;

prepareZXingModule({ overrides: { wasmBinary: fs.readFileSync(fileURLToPath(import.meta.resolve('zxing-wasm/reader/zxing_reader.wasm'))) } });

/** Rows of modules, true where there is ink. */
function modules({ symbology, text }) {
  const [{ sbs, pixs, pixx, pixy }] = bwipjs.raw({ bcid: symbology, text });
  if (pixs) return Array.from({ length: pixy }, (_, y) => pixs.slice(y * pixx, (y + 1) * pixx).map(Boolean));
  const row = sbs.flatMap((width, i) => Array(width).fill(i % 2 === 0));
  return Array(50).fill(row);
}

/** The brightness of each pixel of a label in the middle of white paper, as large as its quiet zone of ten modules allows. */
function frame(label) {
  const pixels = Buffer.alloc(WIDTH * HEIGHT, PAPER);
  if (!label) return pixels;
  const rows = modules(label);
  const size = Math.floor(Math.min(WIDTH / (rows[0].length + 20), HEIGHT / (rows.length + 20)));
  const [left, top] = [(WIDTH - rows[0].length * size) >> 1, (HEIGHT - rows.length * size) >> 1];
  for (const [y, row] of rows.entries()) {
    for (const [x, ink] of row.entries()) {
      for (let line = 0; ink && line < size; line += 1) {
        const start = (top + y * size + line) * WIDTH + left + x * size;
        pixels.fill(INK, start, start + size);
      }
    }
  }
  return pixels;
}

/**
 * For `launch`: a camera that pages need not ask for. It shows each of these `{ symbology, text }` for a while, with blank paper between
 * them, again and again.
 */
export function camera(labels) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-camera-'));
  process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
  const grey = Buffer.alloc(WIDTH * HEIGHT / 2, 128);
  const shown = (label, frames) => Array(frames).fill([Buffer.from('FRAME\n'), frame(label), grey]).flat();
  const video = labels.flatMap((label) => [...shown(null, 4), ...shown(label, 6)]);
  const file = path.join(dir, 'labels.y4m');
  fs.writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${FRAMES_PER_SECOND}:1 Ip A1:1 C420\n`), ...video]));
  return ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${file}`];
}

/** What the codes on a picture say: the bytes of a PNG or JPEG file, or pixels like those of a canvas. */
export async function read(picture) {
  return (await readBarcodes(picture, { tryHarder: true })).map(({ text }) => text);
}

/** What the labels of a fake camera say when they are read off its frames. */
export async function readFrames(labels) {
  const seen = labels.map((label) => {
    const data = new Uint8ClampedArray([...frame(label)].flatMap((grey) => [grey, grey, grey, 255]));
    return read({ data, width: WIDTH, height: HEIGHT, colorSpace: 'srgb' });
  });
  return (await Promise.all(seen)).flat();
}
