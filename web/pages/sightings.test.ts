// Tests which of the barcodes that the camera sees are scans.
import { describe, expect, it } from 'vitest';
import { Sightings, printed } from './sightings';

const matrix = (text: string, distance = 0) => ({ text, matrix: true, distance });
const linear = (text: string, distance = 0) => ({ text, matrix: false, distance });

describe('a code in view', () => {
  it('is one scan for as long as it is there, and another one after it was away for the cooldown', () => {
    const sightings = new Sightings(3000);
    expect(sightings.fresh([matrix('A')], 0)).toBe('A');
    // Longer in view than the cooldown lasts.
    for (let now = 100; now <= 6000; now += 100) expect(sightings.fresh([matrix('A')], now)).toBeNull();
    expect(sightings.fresh([], 6100)).toBeNull();
    expect(sightings.fresh([matrix('A')], 8900)).toBeNull();
    expect(sightings.fresh([matrix('A')], 11_900)).toBe('A');
  });

  it('does not keep another one waiting', () => {
    const sightings = new Sightings();
    expect(sightings.fresh([matrix('A')], 0)).toBe('A');
    expect(sightings.fresh([matrix('B')], 100)).toBe('B');
    expect(sightings.fresh([matrix('A')], 200)).toBeNull();
  });

  it('is the one nearest to the middle', () => {
    expect(new Sightings().fresh([matrix('left', 300), matrix('middle', 20), matrix('right', 250)], 0)).toBe('middle');
  });

  it('has to be read alike in two pictures when it is a linear one', () => {
    const sightings = new Sightings();
    expect(sightings.fresh([linear('4006381333931')], 0)).toBeNull();
    expect(sightings.fresh([linear('4006381333932')], 100)).toBeNull();
    expect(sightings.fresh([linear('4006381333931')], 200)).toBeNull();
    expect(sightings.fresh([linear('4006381333931')], 300)).toBe('4006381333931');
  });
});

describe('what is printed below the bars', () => {
  it('of a UPC-A has twelve digits, however a reader names it', () => {
    expect(printed('0036000291452', 'ean_13')).toBe('036000291452');
    expect(printed('0036000291452', 'UPCA')).toBe('036000291452');
    expect(printed('4006381333931', 'EAN13')).toBe('4006381333931');
    expect(printed('0036000291452', 'Code128')).toBe('0036000291452');
  });
});
