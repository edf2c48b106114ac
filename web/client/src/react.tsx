// The React entry, @signalbox/client/react: hooks that share one link, and a banner. In the browser only.
export { useChat, type ChatView } from './react/chat.js';
export { SignalboxProvider, type SignalboxProviderProps } from './react/provider.js';
export { useMonitor, useScanner, type MonitorView, type ScannerView } from './react/scan.js';
export { useQueueUpdates, type QueueView } from './react/queue.js';
export { useSeatUpdates, type SeatsView } from './react/seats.js';
export { useSocket, type SocketView } from './react/socket.js';
export { ConnectionStatus, type ConnectionStatusProps } from './react/status.js';
