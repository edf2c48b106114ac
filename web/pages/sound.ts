// Short tones. A browser plays them only after the person has touched the page once.

let audio: AudioContext | null = null;

function context(): AudioContext | null {
  audio ??= 'AudioContext' in window ? new AudioContext() : null;
  if (audio?.state === 'suspended') void audio.resume().catch(() => {});
  return audio;
}

/** Makes ready at the first touch or key, so that a later beep is heard. */
export function prepareSound(): void {
  for (const event of ['pointerdown', 'keydown']) addEventListener(event, context, { once: true });
}

/** A tone of `hertz` for `ms`; silent where the browser does not allow it yet. */
export function beep(hertz = 1760, ms = 90): void {
  const now = context();
  if (now?.state !== 'running') return;
  const [tone, volume] = [now.createOscillator(), now.createGain()];
  const end = now.currentTime + ms / 1000;
  tone.frequency.value = hertz;
  volume.gain.setValueAtTime(0.2, now.currentTime);
  volume.gain.setTargetAtTime(0, end - 0.03, 0.01);
  tone.connect(volume).connect(now.destination);
  tone.start();
  tone.stop(end);
}
