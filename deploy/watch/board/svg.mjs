// SVG building blocks, with text measured by the font that draws it.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The only fonts of a picture: it looks the same on a machine without any. */
export const FONT = 'Inter';
export const FONT_FILES = ['400Regular/Inter_400Regular', '500Medium/Inter_500Medium', '600SemiBold/Inter_600SemiBold'].map((name) =>
  fileURLToPath(import.meta.resolve(`@expo-google-fonts/inter/${name}.ttf`)),
);

/** Width of each character as a share of the font size, from the font's cmap and hmtx tables. */
function readWidths(file) {
  const data = fs.readFileSync(file);
  const table = {};
  for (let i = 0; i < data.readUInt16BE(4); i += 1) {
    const entry = 12 + i * 16;
    table[data.toString('latin1', entry, entry + 4)] = data.readUInt32BE(entry + 8);
  }
  const unitsPerEm = data.readUInt16BE(table.head + 18);
  const metrics = data.readUInt16BE(table.hhea + 34);
  const advance = (glyph) => data.readUInt16BE(table.hmtx + Math.min(glyph, metrics - 1) * 4) / unitsPerEm;
  const widths = new Map();
  for (let i = 0; i < data.readUInt16BE(table.cmap + 2); i += 1) {
    const start = table.cmap + data.readUInt32BE(table.cmap + 4 + i * 8 + 4);
    if (data.readUInt16BE(start) !== 12) continue;
    for (let group = 0; group < data.readUInt32BE(start + 12); group += 1) {
      const at = start + 16 + group * 12;
      const [first, last, glyph] = [data.readUInt32BE(at), data.readUInt32BE(at + 4), data.readUInt32BE(at + 8)];
      for (let char = first; char <= last; char += 1) widths.set(char, advance(glyph + char - first));
    }
  }
  return widths;
}

const widths = readWidths(FONT_FILES[1]);

export function textWidth(text, size) {
  let width = 0;
  for (const char of String(text)) width += widths.get(char.codePointAt(0)) ?? 0.6;
  return width * size;
}

/** The text, or as much of it as fits, with an ellipsis. */
export function fit(text, size, width) {
  if (textWidth(text, size) <= width) return String(text);
  let kept = [...String(text)];
  while (kept.length > 0 && textWidth(`${kept.join('')}…`, size) > width) kept = kept.slice(0, -1);
  return `${kept.join('').trimEnd()}…`;
}

export const escape = (text) =>
  String(text).replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char]);

const n = (number) => Math.round(number * 10) / 10;

export function label(x, y, text, { size = 12, weight = 400, color = '#ccccdc', anchor = 'start', width = Infinity } = {}) {
  return `<text x="${n(x)}" y="${n(y)}" font-size="${n(size)}" font-weight="${weight}" fill="${color}" text-anchor="${anchor}">${escape(fit(text, size, width))}</text>`;
}

export function rect(x, y, width, height, color, { radius = 0, opacity = 1, stroke } = {}) {
  const edge = stroke ? ` stroke="${stroke}"` : '';
  return `<rect x="${n(x)}" y="${n(y)}" width="${n(Math.max(0, width))}" height="${n(Math.max(0, height))}" rx="${radius}" fill="${color}" fill-opacity="${opacity}"${edge}/>`;
}

export function path(points, { stroke = 'none', fill = 'none', width = 1, opacity = 1, closed = false } = {}) {
  const d = points.map(([x, y], i) => `${i ? 'L' : 'M'}${n(x)} ${n(y)}`).join('');
  return `<path d="${d}${closed ? 'Z' : ''}" fill="${fill}" fill-opacity="${opacity}" stroke="${stroke}" stroke-width="${width}"/>`;
}

/** Words in lines that fit. */
export function wrap(text, size, width) {
  const lines = [''];
  for (const word of String(text).split(/\s+/)) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (lines.at(-1) && textWidth(longer, size) > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

/** Draws a part at a place, cut off at its edges. */
export function place(x, y, width, height, content) {
  return `<svg x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" overflow="hidden">${content}</svg>`;
}
