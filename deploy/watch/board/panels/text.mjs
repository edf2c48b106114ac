// A few words in Markdown: headings, lists, tables, bold, code and links.
import { THEME } from '../colors.mjs';
import { escape, rect, textWidth } from '../svg.mjs';

const INLINE = /\*\*(.+?)\*\*|\*(.+?)\*|`(.+?)`|\[(.+?)\]\(.+?\)/g;
const SIZE = 13;

/** Words with their style, so that lines can be broken between any two. */
function words(source) {
  const found = [];
  const add = (text, style) =>
    found.push(
      ...text
        .split(/(?<=\s)/)
        .filter(Boolean)
        .map((word) => ({ text: word, ...style })),
    );
  let last = 0;
  for (const match of source.matchAll(INLINE)) {
    const [whole, bold, italic, code, link] = match;
    add(source.slice(last, match.index), {});
    add(bold ?? italic ?? code ?? link, bold ? { weight: 600 } : code ? { color: '#8AB8FF' } : link ? { color: THEME.link } : {});
    last = match.index + whole.length;
  }
  add(source.slice(last), {});
  return found;
}

const wordsWidth = (found, size) => found.reduce((sum, { text }) => sum + textWidth(text, size), 0);

/** Words in lines that fit. */
function lines(found, size, width) {
  const broken = [[]];
  for (const word of found) {
    if (broken.at(-1).length && wordsWidth(broken.at(-1), size) + textWidth(word.text.trimEnd(), size) > width) broken.push([]);
    broken.at(-1).push(word);
  }
  return broken;
}

function run(x, y, found, { size = SIZE, weight = 400, color = THEME.text } = {}) {
  const parts = found
    .map((word) => `<tspan font-weight="${word.weight ?? weight}" fill="${word.color ?? color}">${escape(word.text)}</tspan>`)
    .join('');
  return `<text x="${x}" y="${y}" font-size="${size}" xml:space="preserve">${parts}</text>`;
}

/** Text broken into lines: { height, svg(x, y) }. */
function paragraph(source, width) {
  const heading = source.match(/^(#+)\s+(.*)/);
  const item = source.match(/^\s*(?:[-*]|(\d+\.))\s+(.*)/);
  const size = heading ? Math.max(14, 20 - heading[1].length * 2) : SIZE;
  const indent = item ? 18 : 0;
  const broken = lines(words(heading?.[2] ?? item?.[2] ?? source), size, width - indent);
  const step = size * 1.5;
  return {
    height: broken.length * step,
    svg: (x, y) =>
      (item ? run(x, y + size, [{ text: item[1] ?? '•' }], { color: THEME.faint }) : '') +
      broken.map((line, i) => run(x + indent, y + i * step + size, line, { size, weight: heading ? 600 : 400 })).join(''),
  };
}

/** A table whose columns share the width by how much they say. */
function grid(sources, width) {
  const rows = sources
    .filter((source) => !/^\|[\s|:-]+\|$/.test(source))
    .map((source) =>
      source
        .replace(/^\||\|$/g, '')
        .split('|')
        .map((cell) => words(cell.trim())),
    );
  const natural = rows[0].map((_, i) => Math.max(...rows.map((row) => wordsWidth(row[i] ?? [], SIZE))) + 28);
  const squeeze = Math.min(1, width / natural.reduce((a, b) => a + b, 0));
  const columns = natural.map((one) => one * squeeze);
  const cells = rows.map((row) => row.map((cell, i) => lines(cell, SIZE, columns[i] - 16)));
  const heights = cells.map((row) => Math.max(...row.map((cell) => cell.length)) * 18 + 6);
  return {
    height: heights.reduce((a, b) => a + b, 0),
    svg: (x, y) =>
      cells
        .map((row, i) => {
          const top = y + heights.slice(0, i).reduce((a, b) => a + b, 0);
          const left = (column) => x + columns.slice(0, column).reduce((a, b) => a + b, 0);
          return (
            row
              .map((cell, column) =>
                cell.map((line, k) => run(left(column), top + k * 18 + 15, line, i ? {} : { weight: 500, color: THEME.faint })).join(''),
              )
              .join('') +
            rect(
              x,
              top + heights[i] - 1,
              columns.reduce((a, b) => a + b, 0),
              1,
              THEME.grid,
            )
          );
        })
        .join(''),
  };
}

export function text(result, { x, y, width, height }) {
  const room = width - 24;
  const plain = String(result.panel.options?.content ?? '').replace(/<[^>]+>/g, '');
  let at = y + 2;
  let svg = '';
  for (const [block] of plain.matchAll(/(?:^\|.*\n?)+|^.*$/gm)) {
    const part = block.startsWith('|')
      ? grid(block.trim().split('\n'), room)
      : block.trim()
        ? paragraph(block, room)
        : { height: 8, svg: () => '' };
    if (at + part.height > y + height + 2) return svg + run(x + width - 24, y + height - 4, [{ text: '…' }], { color: THEME.faint });
    svg += part.svg(x + 12, at);
    at += part.height;
  }
  return svg;
}
