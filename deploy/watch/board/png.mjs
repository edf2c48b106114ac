// A PNG with few colours, so that it is small: those that mean something and frequent ones stay, others become the nearest.
import zlib from 'node:zlib';
import { EXACT } from './colors.mjs';

const MOST = 56;
const APART = 16;

const pixel = (hex) =>
  (0xff000000 | (parseInt(hex.slice(5, 7), 16) << 16) | (parseInt(hex.slice(3, 5), 16) << 8) | parseInt(hex.slice(1, 3), 16)) >>> 0;
const channels = (color) => [color & 255, (color >> 8) & 255, (color >> 16) & 255];

/** How different two colours look. Another hue is worse than another brightness: orange must not become red. */
function distance(a, b) {
  const [red, green, blue] = channels(a).map((part, i) => part - channels(b)[i]);
  const brightness = red * 0.299 + green * 0.587 + blue * 0.114;
  return Math.hypot(brightness, (red - brightness) * 1.5, (blue - brightness) * 1.5);
}

function palette(counts) {
  const chosen = [...new Set(EXACT.map(pixel))].filter((color) => counts.get(color) > 20);
  for (const [color] of [...counts].sort(([, a], [, b]) => b - a)) {
    if (chosen.length >= MOST) break;
    if (chosen.every((one) => distance(one, color) > APART)) chosen.push(color);
  }
  return chosen;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(zlib.crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** Opaque RGBA pixels as a PNG. */
export function png(rgba, width, height) {
  const pixels = new Uint32Array(rgba.buffer.slice(rgba.byteOffset, rgba.byteOffset + rgba.byteLength));
  const counts = new Map();
  for (const color of pixels) counts.set(color, (counts.get(color) ?? 0) + 1);
  const colors = palette(counts);
  const nearest = new Map(
    [...counts.keys()].map((color) => [
      color,
      colors.reduce((best, one, i) => (distance(one, color) < distance(colors[best], color) ? i : best), 0),
    ]),
  );
  // Every row begins with a 0: it is not filtered.
  const rows = Buffer.alloc((width + 1) * height);
  for (let i = 0; i < pixels.length; i += 1) rows[i + Math.floor(i / width) + 1] = nearest.get(pixels[i]);
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0]);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head),
    chunk('PLTE', Buffer.from(colors.flatMap(channels))),
    chunk('IDAT', zlib.deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
