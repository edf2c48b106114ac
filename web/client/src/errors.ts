// What can go wrong, as one error with a code.

/** What the server refused, or what did not reach it. `code` is one of the protocol's, or `TIMEOUT` or `OFFLINE`. */
export class SignalboxError extends Error {
  readonly code: string;
  /** The code under which the server's console knows what happened. */
  readonly flow?: string;
  /** The same id in the answer, the server's log and its trace; with `INTERNAL` only. */
  readonly errorId?: string;

  constructor(code: string, message: string, more: { flow?: string; errorId?: string } = {}) {
    super(message);
    this.name = 'SignalboxError';
    this.code = code;
    if (more.flow !== undefined) this.flow = more.flow;
    if (more.errorId !== undefined) this.errorId = more.errorId;
  }
}

/** The error in an acknowledgement or in the body of an HTTP answer; undefined where there is none. */
export function errorIn(answer: unknown): SignalboxError | undefined {
  const { success, error } = (answer ?? {}) as { success?: unknown; error?: { code?: string; message?: string; flow?: string; errorId?: string } };
  if (success !== false && !error) return undefined;
  return new SignalboxError(error?.code ?? 'INTERNAL', error?.message ?? 'the server refused', error);
}

const LONGEST_SESSION = 100;

/** Throws VALIDATION_ERROR for a text that is empty, longer than `longest` characters or has control characters. */
export function checkText(what: string, text: string, longest: number): void {
  const length = [...text].length;
  if (length > 0 && length <= longest && !/\p{Cc}/u.test(text)) return;
  throw new SignalboxError('VALIDATION_ERROR', `${what} is 1 to ${longest} characters without control characters`);
}

/** Throws VALIDATION_ERROR for what cannot name a session. */
export function checkSession(sessionId: string): void {
  checkText('sessionId', sessionId, LONGEST_SESSION);
}
