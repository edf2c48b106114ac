// One bar for each series, its name before it and its value after it.
import { THEME } from '../colors.mjs';
import { label, rect, textWidth } from '../svg.mjs';
import { reduced } from './stat.mjs';

export function bargauge(result, { x, y, width, height }) {
  const values = reduced(result);
  const least = Math.min(...values.map((one) => one.config.min ?? Math.min(0, one.value ?? 0)));
  const most = Math.max(...values.map((one) => one.config.max ?? (Number.isFinite(one.value) ? one.value : 0)), least + Number.EPSILON);
  const fits = Math.min(values.length, Math.max(1, Math.floor((height - 4) / 18)));
  const shown = fits < values.length ? values.slice(0, fits - 1) : values;
  const row = Math.min(46, (height - 4) / fits);
  const size = Math.min(14, row * 0.62);
  const names = Math.min(width * 0.42, Math.max(...values.map((one) => textWidth(one.title, size))) + 10);
  const numbers = Math.max(...values.map((one) => textWidth(one.text, size))) * 1.06 + 12;
  const full = width - names - numbers - 16;
  const bars = shown.map((one, i) => {
    const top = y + 2 + i * row;
    const share = Number.isFinite(one.value) ? Math.min(1, Math.max(0, (one.value - least) / (most - least))) : 0;
    const left = x + 8 + names;
    return (
      label(left - 8, top + row / 2 + size * 0.36, one.title, { size, anchor: 'end', width: names - 6 }) +
      rect(left, top + 2, full, row - 4, THEME.dim, { radius: 2, opacity: 0.6 }) +
      rect(left, top + 2, Math.max(2, full * share), row - 4, one.color, { radius: 2, opacity: 0.35 }) +
      rect(left + Math.max(0, full * share - 2), top + 2, 2, row - 4, one.color) +
      label(x + width - 8, top + row / 2 + size * 0.36, one.text, { size, weight: 600, color: one.color, anchor: 'end' })
    );
  });
  const more =
    shown.length < values.length
      ? label(x + 8, y + 2 + shown.length * row + 13, `and ${values.length - shown.length} more`, { size: 12, color: THEME.faint })
      : '';
  return bars.join('') + more;
}
