// Listening to several events of a socket at once, and ceasing to.
import type { Socket } from 'socket.io-client';
import type { ServerEvents } from './events.js';
import type { SignalboxSocket } from './link.js';

/** What one may listen to: what the server sends, and the connection's own. */
type Heard = ServerEvents & { connect: () => void; disconnect: () => void };

/** Calls these whenever their event comes. Returns how to cease. */
export function listen(socket: SignalboxSocket, handlers: Partial<Heard>): () => void {
  // The types of socket.io-client cannot follow a name that is not spelt out.
  const plain = socket as unknown as Socket;
  const all = Object.entries(handlers);
  for (const [event, handler] of all) plain.on(event, handler);
  return () => {
    for (const [event, handler] of all) plain.off(event, handler);
  };
}
