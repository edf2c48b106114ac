// Whose a token is, as it says itself.
import type { UserId } from './events.js';

/** The user in a JWT, which is not checked here; null where there is none that can be read. */
export function userOf(token: string | null): UserId | null {
  try {
    const bytes = Uint8Array.from(atob(token!.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')), (sign) => sign.charCodeAt(0));
    const { userId, sub } = JSON.parse(new TextDecoder().decode(bytes));
    return userId ?? sub ?? null;
  } catch {
    return null;
  }
}
