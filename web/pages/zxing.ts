// Reads barcodes where the browser cannot: ZXing as WebAssembly. Loaded only when it is needed.
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader';
import wasm from 'zxing-wasm/reader/zxing_reader.wasm';
import { printed, type Read, type Seen } from './sightings';

const FORMATS = ['Code128', 'Code39', 'EAN13', 'EAN8', 'UPCA', 'ITF', 'QRCode', 'DataMatrix'] as const;
const MATRIX: readonly string[] = ['QRCode', 'DataMatrix'];
/** Wide enough for a linear code at arm's length, small enough for ten pictures a second. */
const WIDTH = 1280;

/** A reader whose program has been fetched. */
export async function zxingReader(): Promise<Read> {
  await prepareZXingModule({ overrides: { locateFile: () => wasm }, fireImmediately: true });
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  return async (video): Promise<Seen[]> => {
    const scale = Math.min(1, WIDTH / video.videoWidth);
    [canvas.width, canvas.height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const picture = context.getImageData(0, 0, canvas.width, canvas.height);
    const found = await readBarcodes(picture, { formats: [...FORMATS], maxNumberOfSymbols: 4 });
    return found.filter((one) => one.isValid).map(({ text, format, position: { topLeft, bottomRight } }) => ({
      text: printed(text, format),
      matrix: MATRIX.includes(format),
      distance: Math.hypot((topLeft.x + bottomRight.x) / 2 - canvas.width / 2, (topLeft.y + bottomRight.y) / 2 - canvas.height / 2),
    }));
  };
}
