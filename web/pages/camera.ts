// The camera as a barcode scanner: the browser's own reader where there is one, else one that is loaded.
import { printed, type Read, Sightings } from './sightings';

/** Why there is no camera; each has its text, `camera_…`. */
export type CameraTrouble = 'insecure' | 'denied' | 'missing' | 'busy' | 'reader';

export interface Camera {
  /** Asks the person where needed; throws a CameraTrouble. Does nothing while it runs. */
  start(): Promise<void>;
  stop(): void;
  readonly running: boolean;
  /** Whether there is a light that can be switched. */
  readonly hasTorch: boolean;
  torch(on: boolean): Promise<void>;
}

const FORMATS = ['code_128', 'code_39', 'ean_13', 'ean_8', 'itf', 'qr_code', 'data_matrix'];
/** Some browsers know it as EAN-13 only. */
const MORE = ['upc_a'];
const MATRIX = ['qr_code', 'data_matrix'];
const PICTURE_MS = 100;

// TypeScript's DOM library does not know them yet.
interface Barcode { rawValue: string; format: string; boundingBox: DOMRectReadOnly }
interface Detector { detect(source: HTMLVideoElement): Promise<Barcode[]> }
interface DetectorClass { new(options: { formats: string[] }): Detector; getSupportedFormats(): Promise<string[]> }
type Torch = { torch?: boolean };

async function browserReader(): Promise<Read | null> {
  const given = (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  const known = await given?.getSupportedFormats().catch(() => null);
  if (!given || !known || !FORMATS.every((format) => known.includes(format))) return null;
  const detector = new given({ formats: [...FORMATS, ...MORE].filter((format) => known.includes(format)) });
  return async (video) => (await detector.detect(video)).map(({ rawValue, format, boundingBox: box }) => ({
    text: printed(rawValue, format),
    matrix: MATRIX.includes(format),
    distance: Math.hypot(box.x + box.width / 2 - video.videoWidth / 2, box.y + box.height / 2 - video.videoHeight / 2),
  }));
}

let reader: Promise<Read> | null = null;

/** One for the page; a failed load is tried again next time. */
function readerOnce(): Promise<Read> {
  reader ??= browserReader().then(async (own) => own ?? (await import('./zxing')).zxingReader());
  reader.catch(() => (reader = null));
  return reader;
}

/** What is wrong, from what getUserMedia throws. */
function troubleOf(error: unknown): CameraTrouble {
  const { name } = error as DOMException;
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'denied';
  return name === 'NotFoundError' || name === 'OverconstrainedError' ? 'missing' : 'busy';
}

/** Calls `scanned` once for each code that comes into view, and `ended` when the device takes the camera away. */
export function createCamera(video: HTMLVideoElement, scanned: (text: string) => void, ended: () => void): Camera {
  const sightings = new Sightings();
  let stream: MediaStream | null = null;
  /** A run that is not the current one is over. */
  let run = 0;

  const track = () => stream?.getVideoTracks()[0];

  function stop(): void {
    run += 1;
    stream?.getTracks().forEach((one) => one.stop());
    stream = null;
    video.srcObject = null;
  }

  async function open(): Promise<void> {
    const current = ++run;
    if (!navigator.mediaDevices?.getUserMedia) throw (window.isSecureContext ? 'missing' : 'insecure') satisfies CameraTrouble;
    const wanted = { facingMode: 'environment', width: { ideal: 1280 }, height: { ideal: 960 } };
    const opened = await navigator.mediaDevices.getUserMedia({ video: wanted }).catch((error) => {
      if (current === run) throw troubleOf(error);
      return null;
    });
    if (!opened) return;
    if (current !== run) return opened.getTracks().forEach((one) => one.stop());
    stream = opened;
    video.srcObject = opened;
    track()?.addEventListener('ended', () => {
      if (current !== run) return;
      stop();
      ended();
    });
    const read = await readerOnce().catch(() => {
      stop();
      throw 'reader' satisfies CameraTrouble;
    });
    if (current !== run) return;
    await video.play().catch(() => {}); // a stop in between
    void watch(read, current);
  }

  async function watch(read: Read, current: number): Promise<void> {
    while (current === run) {
      if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0) {
        const seen = await read(video).catch(() => []); // a picture that cannot be read is like an empty one
        if (current !== run) return;
        const text = sightings.fresh(seen, performance.now());
        if (text !== null) scanned(text);
      }
      await new Promise((resolve) => setTimeout(resolve, PICTURE_MS));
    }
  }

  return {
    start: async () => (stream ? undefined : open()),
    stop,
    get running() {
      return stream !== null;
    },
    get hasTorch() {
      return Boolean((track()?.getCapabilities?.() as Torch | undefined)?.torch);
    },
    async torch(on) {
      await track()?.applyConstraints({ advanced: [{ torch: on } as MediaTrackConstraintSet] });
    },
  };
}
