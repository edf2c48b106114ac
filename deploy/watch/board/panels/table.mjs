// Rows of now.
import { inkOn, THEME } from '../colors.mjs';
import { configOf, valueColor } from '../fields.mjs';
import { formatValue } from '../format.mjs';
import { label, rect, textWidth } from '../svg.mjs';

const ROW = 26;
const SIZE = 12.5;

function columnsOf({ panel, table }) {
  return table
    .map((column) => ({ ...column, config: configOf(panel, column) }))
    .filter(({ config }) => !config.custom.hidden && !config.custom.hideFrom?.viz)
    .map((column) => {
      const config =
        column.type === 'number'
          ? column.config
          : { ...column.config, unit: column.type === 'time' ? (column.config.unit ?? 'dateTimeAsIso') : undefined };
      const cells = column.values.map((value) => ({ value, text: value === null ? '' : formatValue(value, config) }));
      return { ...column, config, title: config.displayName ?? column.name, cells };
    });
}

/** Wanted widths first; what is left is shared by how much the others have to say. */
function widths(columns, width) {
  const natural = columns.map(
    ({ title, cells, config }) =>
      config.custom.width ?? Math.max(textWidth(title, SIZE), ...cells.map(({ text }) => textWidth(text, SIZE))) + 24,
  );
  const total = natural.reduce((a, b) => a + b, 0);
  return natural.map((one) => (one * width) / total);
}

export function table(result, { x, y, width, height }) {
  const columns = columnsOf(result);
  if (columns.length === 0) return label(x + width / 2, y + height / 2, 'No column to show', { color: THEME.faint, anchor: 'middle' });
  const places = widths(columns, width);
  const count = columns[0].cells.length;
  const fits = Math.max(1, Math.floor((height - ROW) / ROW));
  const shown = count > fits ? fits - 1 : count;
  let left = x;
  const parts = columns.map((column, i) => {
    const align = column.config.custom.align ?? 'auto';
    const end = align === 'right' || (align === 'auto' && column.type === 'number');
    const at = end ? left + places[i] - 12 : left + 12;
    const text = (row, content, style) =>
      label(at, y + row * ROW + 17, content, { size: SIZE, anchor: end ? 'end' : 'start', width: places[i] - 16, ...style });
    const look = column.config.custom.cellOptions?.type ?? column.config.custom.displayMode ?? 'auto';
    const cells = column.cells.slice(0, shown).map(({ value, text: content }, row) => {
      const color = look === 'auto' || look === 'json-view' || value === null ? undefined : valueColor(value, column.config);
      const filled = color && look.startsWith('color-background');
      return (
        (filled ? rect(left + 1, y + (row + 1) * ROW, places[i] - 2, ROW - 1, color) : '') +
        text(row + 1, content, { color: filled ? inkOn(color) : (color ?? THEME.text) })
      );
    });
    left += places[i];
    return text(0, column.title, { weight: 500, color: THEME.link }) + cells.join('');
  });
  const lines = Array.from({ length: shown + 1 }, (_, i) => rect(x + 4, y + (i + 1) * ROW - 1, width - 8, 1, THEME.grid)).join('');
  return (
    lines +
    parts.join('') +
    (shown < count ? label(x + 12, y + (shown + 1) * ROW + 17, `and ${count - shown} more`, { size: SIZE, color: THEME.faint }) : '')
  );
}
