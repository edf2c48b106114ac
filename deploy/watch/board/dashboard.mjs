// A dashboard's JSON as panels with a place on the grid, rows opened.
import fs from 'node:fs';

function openRow(row, shift) {
  const inside = row.panels.map((panel) => ({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + shift } }));
  return { inside, taller: Math.max(...inside.map(({ gridPos }) => gridPos.y + gridPos.h)) - (row.gridPos.y + shift + 1) };
}

/** Reads a dashboard. The panels of a collapsed row come out of it and move down what is below. */
export function loadBoard(file) {
  const board = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!Array.isArray(board.panels)) throw new Error(`${file} is not a dashboard: it has no panels`);
  const panels = [];
  let shift = 0;
  for (const panel of board.panels.toSorted((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x)) {
    panels.push({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + shift } });
    if (panel.type !== 'row' || !panel.panels?.length) continue;
    const { inside, taller } = openRow(panel, shift);
    panels.push(...inside);
    shift += taller;
  }
  return { ...board, panels };
}
