// The chat as a component sees it.
import { useSyncExternalStore } from 'react';
import { createChat, type Chat, type ChatLine, type ChatOptions } from '../chat.js';
import { SignalboxError } from '../errors.js';
import { NONE, early, still, useLatest, useThing } from './latest.js';
import { useLink } from './provider.js';

/** What `useChat` gives: the fields and functions of a `Chat`. */
export type ChatView = Omit<Chat, 'room' | 'subscribe' | 'close'>;

/** All rooms of the link's user. Options are read once. */
export function useChat(options: ChatOptions = {}): ChatView {
  const link = useLink();
  const chat = useThing(() => createChat(link, options), [link]);
  const subscribe = chat?.subscribe ?? still;
  const rooms = useSyncExternalStore(subscribe, () => chat?.rooms ?? NONE);
  const loaded = useSyncExternalStore(subscribe, () => chat?.loaded ?? false);
  const problem = useSyncExternalStore(subscribe, () => chat?.problem ?? null);
  const send = useLatest((...args: Parameters<Chat['send']>): ChatLine => {
    if (!chat) throw new SignalboxError('OFFLINE', 'the component is not there yet, or no longer');
    return chat.send(...args);
  }) as Chat['send'];
  const create = useLatest((...args: Parameters<Chat['create']>) => chat?.create(...args) ?? early()) as Chat['create'];
  const open = useLatest((roomID: string) => chat?.open(roomID)) as Chat['open'];
  const retry = useLatest((key: string) => chat?.retry(key)) as Chat['retry'];
  const discard = useLatest((key: string) => chat?.discard(key)) as Chat['discard'];
  const edit = useLatest((...args: Parameters<Chat['edit']>) => chat?.edit(...args) ?? early()) as Chat['edit'];
  const older = useLatest((roomID: string) => chat?.older(roomID) ?? early()) as Chat['older'];
  const remove = useLatest((roomID: string) => chat?.remove(roomID) ?? early()) as Chat['remove'];
  return { rooms, loaded, problem, open, create, send, retry, discard, edit, older, remove };
}
