// Decides which of the barcodes that the camera sees are scans.

/** What was seen in one picture: the text, whether the symbol checks itself well, and how far it is from the middle. */
export interface Seen { text: string; matrix: boolean; distance: number }

/** All codes in the current picture of a video. */
export type Read = (video: HTMLVideoElement) => Promise<Seen[]>;

/** What is printed below the bars: a UPC-A is an EAN-13 whose first digit is a 0 that nobody prints. */
export const printed = (text: string, format: string) => (/^(ean_?13|upc_?a)$/i.test(format) && /^0\d{12}$/.test(text) ? text.slice(1) : text);

/** A code counts once for as long as it is in view, and again only after it was away for `cooldown` ms. */
export class Sightings {
  readonly #cooldown: number;
  readonly #last = new Map<string, number>();
  #before: string | null = null;

  constructor(cooldown = 3000) {
    this.#cooldown = cooldown;
  }

  /**
   * The text that is a scan now, or null. Of several codes the one nearest to the middle is meant. A linear
   * code must be read alike in two pictures: their check digits let a wrong reading through now and then.
   */
  fresh(seen: readonly Seen[], now: number): string | null {
    const nearest = seen.reduce<Seen | null>((best, one) => (best && best.distance <= one.distance ? best : one), null);
    const sure = nearest !== null && (nearest.matrix || nearest.text === this.#before);
    this.#before = nearest?.text ?? null;
    if (!nearest || !sure) return null;
    for (const [text, at] of this.#last) if (now - at >= this.#cooldown) this.#last.delete(text);
    const known = this.#last.has(nearest.text);
    this.#last.set(nearest.text, now);
    return known ? null : nearest.text;
  }
}
