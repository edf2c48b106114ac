// Draws a QR code as SVG.
import { encode } from 'uqr';

const SVG = 'http://www.w3.org/2000/svg';

/** The QR code of a text, with its quiet zone; as large as what it is put into. Dark on light in every colour scheme. */
export function qrCode(text: string): SVGSVGElement {
  const { size, data } = encode(text, { ecc: 'L', boostEcc: true, border: 3 });
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${size} ${size}`);
  svg.setAttribute('shape-rendering', 'crispEdges');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  const dots = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])));
  path.setAttribute('d', dots.join(''));
  path.setAttribute('fill', '#000');
  svg.append(path);
  return svg;
}
