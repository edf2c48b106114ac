// What `@signalbox/client` gives to programs; React's part is in `@signalbox/client/react`.
export { type Chat, type ChatLine, type ChatOptions, type ChatRoom, type ChatStorage, createChat } from './chat.js';
export { SignalboxError } from './errors.js';
export type * from './events.js';
export { type ConnectOptions, type Link, type LinkState, type SignalboxSocket, type TokenSource, connect } from './link.js';
export { type Monitor, type MonitorOptions, type MonitorStorage, type Order, createMonitor } from './monitor.js';
export { type OutboxChange, type OutboxStorage, type ScanEntry, indexedDbOutbox, memoryOutbox } from './outbox.js';
export { type Scanner, type ScannerOptions, createScanner } from './scanner.js';
export { type Account, type User, accountTokens } from './tokens.js';
export { newTraceparent } from './trace.js';
