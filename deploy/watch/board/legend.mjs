// The legend of a chart: its series by colour and name, with calculated values.
import { THEME } from './colors.mjs';
import { calcTitle, reduce } from './fields.mjs';
import { formatValue } from './format.mjs';
import { label, rect, textWidth } from './svg.mjs';

const ROW = 20;
const SIZE = 12;

/** A legend below (a list that wraps) or beside (a table with calculated columns); what does not fit is counted. */
export function legend(lines, options, width, height) {
  const { showLegend = true, displayMode = 'list', placement = 'bottom', calcs = [], sortBy, sortDesc } = options.legend ?? {};
  if (!showLegend || displayMode === 'hidden' || lines.length === 0) return { width: 0, height: 0, svg: () => '' };
  const beside = placement === 'right';
  const rows = lines.map((line) => ({
    line,
    cells: calcs.map((name) => ({
      value: reduce(line.values, name),
      text: formatValue(reduce(line.values, name), { noValue: '–', ...line.config }),
    })),
  }));
  const sorted = calcs.findIndex((name) => calcTitle(name) === sortBy || name === sortBy);
  if (sorted >= 0) rows.sort((a, b) => ((a.cells[sorted].value ?? -Infinity) - (b.cells[sorted].value ?? -Infinity)) * (sortDesc ? -1 : 1));
  const table = displayMode === 'table';
  return table || beside ? legendTable(rows, calcs, table, beside, width, height) : legendList(rows, width, height);
}

function swatch(x, y, color) {
  return rect(x, y - 5.5, 14, 4, color, { radius: 2 });
}

function legendTable(rows, calcs, heading, beside, width, height) {
  const columns = calcs.map(
    (name, i) => Math.max(textWidth(calcTitle(name), SIZE), ...rows.map(({ cells }) => textWidth(cells[i].text, SIZE))) + 14,
  );
  const numbers = columns.reduce((a, b) => a + b, 0);
  const names = Math.max(...rows.map(({ line }) => textWidth(line.title, SIZE))) + 24;
  const room = beside ? Math.min(names + numbers + 8, width * 0.45) : width;
  const head = heading && calcs.length ? ROW : 0;
  const fits = Math.max(1, Math.floor(((beside ? height : Math.max(height * 0.4, head + ROW)) - head) / ROW));
  const shown = rows.length > fits ? rows.slice(0, fits - 1) : rows;
  const left = room - numbers - 24;
  const right = columns.map((_, i) => room - columns.slice(i + 1).reduce((a, b) => a + b, 0));
  return {
    width: beside ? room + 8 : 0,
    height: beside ? 0 : head + Math.min(fits, rows.length) * ROW + 4,
    svg(x, y) {
      const titles = head
        ? calcs.map((name, i) => label(x + right[i], y + 13, calcTitle(name), { size: SIZE, color: THEME.link, anchor: 'end' }))
        : [];
      const body = shown.map(({ line, cells }, row) => {
        const at = y + head + row * ROW + 14;
        return (
          swatch(x, at, line.color) +
          label(x + 20, at, line.title, { size: SIZE, width: left }) +
          cells.map(({ text }, i) => label(x + right[i], at, text, { size: SIZE, anchor: 'end' })).join('')
        );
      });
      const more =
        shown.length < rows.length
          ? label(x + 20, y + head + shown.length * ROW + 14, `and ${rows.length - shown.length} more`, { size: SIZE, color: THEME.faint })
          : '';
      return titles.join('') + body.join('') + more;
    },
  };
}

function legendList(rows, width, height) {
  const most = Math.max(1, Math.floor((height * 0.35) / ROW));
  const items = [];
  let [x, row] = [0, 0];
  for (const [i, { line, cells }] of rows.entries()) {
    const text = [line.title, ...cells.map((cell) => cell.text)].join('  ');
    const room = Math.min(width, textWidth(text, SIZE) + 20);
    const rest = i < rows.length - 1 && row === most - 1 ? 80 : 0;
    if (x > 0 && x + room + rest > width) {
      if (row === most - 1) {
        items.push({ x, row, text: `and ${rows.length - i} more`, width: 80 });
        break;
      }
      [x, row] = [0, row + 1];
    }
    items.push({ x, row, text, color: line.color, width: room });
    x += room + 16;
  }
  return {
    width: 0,
    height: (row + 1) * ROW + 2,
    svg: (left, top) =>
      items
        .map((item) => {
          const at = top + item.row * ROW + 15;
          return item.color
            ? swatch(left + item.x, at, item.color) + label(left + item.x + 20, at, item.text, { size: SIZE, width: item.width - 20 })
            : label(left + item.x, at, item.text, { size: SIZE, color: THEME.faint });
        })
        .join(''),
  };
}
