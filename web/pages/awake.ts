// Keeps the screen on while the page is visible, where the browser can.

/** From now on; a page that was hidden asks again when it is back. */
export function keepAwake(): void {
  const ask = () => {
    // Refused on a low battery and over plain HTTP: the screen goes dark then, as it would anyway.
    if (!document.hidden) navigator.wakeLock?.request('screen').catch(() => {});
  };
  document.addEventListener('visibilitychange', ask);
  ask();
}
