// W3C trace context: one trace from the scan on the phone to the order on the monitor.

const hex = (bytes: number) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** A new, sampled `traceparent`. Also on pages without https, where `crypto.randomUUID` is missing. */
export function newTraceparent(): string {
  return `00-${hex(16)}-${hex(8)}-01`;
}

/** 32 hexadecimal digits that nobody else has. */
export function newNonce(): string {
  return hex(16);
}
