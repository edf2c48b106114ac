// The server's HTTP interface.
import { SignalboxError, errorIn } from './errors.js';

const REQUEST_MS = 10_000;

/** Gets what is at an address, or posts `body` to it, as JSON. Throws SignalboxError, OFFLINE where there was no answer. */
export async function request(address: string, { body, token }: { body?: object; token?: string | null } = {}): Promise<unknown> {
  let response;
  let answer: unknown;
  try {
    response = await fetch(address, {
      headers: { ...(body && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }) },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    answer = await response.json();
  } catch {
    throw new SignalboxError('OFFLINE', 'no answer from the server');
  }
  if (!response.ok) throw errorIn(answer) ?? new SignalboxError('INTERNAL', `the server answered ${response.status}`);
  return answer;
}
