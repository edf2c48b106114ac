// A dial for each series: the value on its scale, the thresholds as a ring around it.
import { THEME } from '../colors.mjs';
import { thresholdSteps } from '../fields.mjs';
import { formatTick } from '../format.mjs';
import { label, path, textWidth } from '../svg.mjs';
import { reduced } from './stat.mjs';

const [START, SWEEP] = [Math.PI * 0.9, Math.PI * 1.2];

function arc(cx, cy, radius, thickness, from, to, color) {
  const steps = Math.max(2, Math.ceil((to - from) * 60));
  const at = (share, distance) => [cx + Math.cos(START + SWEEP * share) * distance, cy + Math.sin(START + SWEEP * share) * distance];
  const shares = Array.from({ length: steps + 1 }, (_, i) => from + ((to - from) * i) / steps);
  return path([...shares.map((share) => at(share, radius)), ...shares.toReversed().map((share) => at(share, radius - thickness))], {
    fill: color,
    closed: true,
  });
}

export function gauge(result, { x, y, width, height }) {
  const values = reduced(result);
  const w = width / values.length;
  return values
    .map((one, i) => {
      const named = values.length > 1 && one.title;
      const room = height - (named ? 20 : 4);
      const radius = Math.min(w * 0.44, room * 0.62);
      const [cx, cy] = [x + w * (i + 0.5), y + radius + Math.max(4, (room - radius * 1.38) / 2)];
      const min = one.config.min ?? 0;
      const max = one.config.max ?? (one.config.unit === 'percentunit' ? 1 : 100);
      const share = (value) => Math.min(1, Math.max(0, (value - min) / (max - min)));
      const steps = thresholdSteps(one.config, { min, max });
      const ring = steps.map((step, k) =>
        arc(cx, cy, radius, radius * 0.05, share(step.value), share(steps[k + 1]?.value ?? max), step.color),
      );
      const thick = radius * 0.26;
      const size = Math.min(radius * 0.44, (radius * 1.2) / textWidth(one.text, 1));
      return (
        ring.join('') +
        arc(cx, cy, radius * 0.92, thick, 0, 1, THEME.dim) +
        (Number.isFinite(one.value) ? arc(cx, cy, radius * 0.92, thick, 0, Math.max(0.004, share(one.value)), one.color) : '') +
        label(cx, cy + size * 0.3, one.text, { size, weight: 600, color: one.color, anchor: 'middle' }) +
        label(cx - radius * 0.78, cy + radius * 0.5, formatTick(min, one.config), { size: 10, color: THEME.faint, anchor: 'middle' }) +
        label(cx + radius * 0.78, cy + radius * 0.5, formatTick(max, one.config), { size: 10, color: THEME.faint, anchor: 'middle' }) +
        (named ? label(cx, y + height - 6, one.title, { size: 12, anchor: 'middle', width: w - 8 }) : '')
      );
    })
    .join('');
}
