// The whole dashboard as one picture: panels at their places on Grafana's grid.
import { Resvg } from '@resvg/resvg-js';
import { colorOf, THEME } from './colors.mjs';
import { localTime } from './format.mjs';
import { bargauge } from './panels/bargauge.mjs';
import { gauge } from './panels/gauge.mjs';
import { heatmap } from './panels/heatmap.mjs';
import { stat } from './panels/stat.mjs';
import { stateTimeline } from './panels/state-timeline.mjs';
import { table } from './panels/table.mjs';
import { text } from './panels/text.mjs';
import { timeseries } from './panels/timeseries.mjs';
import { png } from './png.mjs';
import { fit, FONT, FONT_FILES, label, path, rect, textWidth, wrap } from './svg.mjs';

const DRAW = { stat, bargauge, gauge, heatmap, table, text, timeseries, 'state-timeline': stateTimeline };
const OWN_EMPTY = ['stat', 'text'];
const [CELL, GAP, MARGIN, HEADER, TITLE] = [28, 8, 12, 52, 30];

const message = (content, color, { x, y, width, height }) => {
  const lines = wrap(content, 12, width - 24).slice(0, Math.max(1, Math.floor(height / 17)));
  return lines
    .map((line, i) =>
      label(x + width / 2, y + height / 2 + (i - (lines.length - 1) / 2) * 17 + 4, line, {
        size: 12,
        color,
        anchor: 'middle',
        width: width - 16,
      }),
    )
    .join('');
};

function content(result, area) {
  if (!DRAW[result.type]) result.error ??= `panels of type ${result.type} are not drawn here`;
  if (result.error) return message(result.error, THEME.bad, area);
  if (result.empty && !OWN_EMPTY.includes(result.type)) {
    const own = result.panel.fieldConfig?.defaults?.noValue;
    return label(area.x + area.width / 2, area.y + area.height / 2, own ?? 'No data', {
      size: 18,
      color: own && !/^no data$/i.test(own) ? THEME.faint : THEME.bad,
      anchor: 'middle',
    });
  }
  try {
    return DRAW[result.type](result, area);
  } catch (error) {
    result.error = `cannot be drawn: ${error.message}`;
    return message(result.error, THEME.bad, area);
  }
}

function drawPanel(result, { x, y, width, height }, marks) {
  if (result.type === 'row') {
    const arrow = path(
      [
        [x + 6, y + height / 2 - 3],
        [x + 11, y + height / 2 + 3],
        [x + 16, y + height / 2 - 3],
      ],
      { stroke: THEME.text, width: 1.5 },
    );
    return arrow + label(x + 24, y + height / 2 + 5, result.title, { size: 15, weight: 600, width: width - 40 });
  }
  const top = result.title ? TITLE : 6;
  const since = result.panel.timeFrom ? `last ${result.panel.timeFrom.replace(/^now-/, '')}` : '';
  const title = fit(result.title, 13.5, width - 30 - textWidth(since, 12));
  const heading =
    label(x + 10, y + 20, title, { size: 13.5, weight: 500 }) +
    label(x + 20 + textWidth(title, 13.5), y + 20, since, { size: 12, color: THEME.link });
  const inside = content(result, { x: x + 4, y: y + top, width: width - 8, height: height - top - 5, marks });
  return rect(x, y, width, height, THEME.panel, { radius: 3, stroke: result.error ? THEME.bad : THEME.edge }) + heading + inside;
}

function header({ board, range, variables, marks, panels }, width) {
  const chosen = Object.entries(variables)
    .filter(([name]) => name !== 'datasource')
    .map(([name, { text: value }]) => `${name}: ${value}`);
  const day = localTime(range.from).slice(0, 10) === localTime(range.to).slice(0, 10);
  const zone = Intl.DateTimeFormat('en', { timeZoneName: 'short' })
    .formatToParts(range.to)
    .find(({ type }) => type === 'timeZoneName').value;
  const time = `${localTime(range.from)} to ${localTime(range.to).slice(day ? 11 : 0)} ${zone}`;
  const broken = panels.filter(({ error }) => error).length;
  const texts = [...new Map(marks.map((mark) => [mark.text, mark])).values()];
  const right =
    label(width - MARGIN, 22, time, { size: 13, anchor: 'end' }) +
    label(width - MARGIN, 41, [...chosen, ...(broken ? [`${broken} panels with errors`] : [])].join('  ·  '), {
      size: 12,
      color: broken ? THEME.bad : THEME.faint,
      anchor: 'end',
      width: width * 0.5,
    });
  let at = MARGIN;
  const legend = texts.map((mark) => {
    const room = Math.min(220, textWidth(mark.text, 12));
    if (at + room > width * 0.6) return '';
    const item = rect(at, 32, 2, 11, colorOf(mark.color)) + label(at + 7, 41, mark.text, { size: 12, color: THEME.faint, width: room + 1 });
    at += room + 24;
    return item;
  });
  return label(MARGIN, 23, board.title, { size: 18, weight: 600, width: width * 0.6 }) + legend.join('') + right;
}

/** The picture of what `evaluate` found, as a PNG with few colours, so that it stays small. */
export function render(evaluation, { width = 1600 } = {}) {
  const { panels, marks } = evaluation;
  const single = panels.length === 1;
  const unit = (width - 2 * MARGIN + GAP) / 24;
  const areas = panels.map(({ panel: { gridPos } }) =>
    single
      ? { x: MARGIN, y: HEADER, width: width - 2 * MARGIN, height: Math.min(gridPos.h * 48, width * 0.45) }
      : {
          x: MARGIN + gridPos.x * unit,
          y: HEADER + gridPos.y * (CELL + GAP),
          width: gridPos.w * unit - GAP,
          height: gridPos.h * (CELL + GAP) - GAP,
        },
  );
  const height = Math.ceil(Math.max(...areas.map((area) => area.y + area.height)) + MARGIN);
  const drawn = panels.map((result, i) => drawPanel(result, areas[i], marks)).join('');
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" font-family="${FONT}">${rect(0, 0, width, height, THEME.page)}${header(evaluation, width)}${drawn}</svg>`;
  const image = new Resvg(svg, { font: { fontFiles: FONT_FILES, loadSystemFonts: false, defaultFontFamily: FONT } }).render();
  return png(image.pixels, image.width, image.height);
}
