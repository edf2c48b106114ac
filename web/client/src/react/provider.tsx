// The link that the hooks below a provider share, or all hooks where there is none.
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore, type ReactNode } from 'react';
import { connect, type ConnectOptions, type Link, type LinkState } from '../link.js';
import { lineOf } from './line.js';

/** So long, in milliseconds, a link stays that nobody uses: a page that is left for the next one, or rendered and thrown away. */
const UNUSED_MS = 2_000;

interface Source {
  /** The link, made now if need be. */
  get(): Link;
  /** Keeps it. Returns what ends that. */
  keep(): () => void;
}

/** A link that is made when it is needed and closed when it no longer is: rendering twice, as StrictMode does, makes only one. */
function lazy(options: ConnectOptions): Source {
  let link: Link | null = null;
  let users = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const unused = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (users > 0) return;
      link?.close();
      link = null;
    }, UNUSED_MS);
  };
  return {
    get() {
      if (!link) {
        link = connect(options);
        if (users === 0) unused();
      }
      return link;
    },
    keep() {
      users += 1;
      return () => {
        users -= 1;
        if (users === 0) unused();
      };
    },
  };
}

/** Away with the token that is good for nothing, and to the page that gives another one. */
function logOut(navigate: (path: string) => void): void {
  localStorage.removeItem('token');
  navigate('/login');
}

const leave = (path: string) => location.assign(path);
const shared = lazy({ onAuthFailure: () => logOut(leave) });
const SourceContext = createContext<Source>(shared);

/** Either a link, which stays yours to close, or what to make one with; options are read once. */
export type SignalboxProviderProps = { children?: ReactNode } & (
  | { link: Link }
  | {
      options?: ConnectOptions;
      /** Where a token is refused and `options` has no `onAuthFailure`, `token` is removed from localStorage and this is called with `/login`. */
      navigate?: (path: string) => void;
    }
);

/** Gives the hooks below it one link. Without it they share one with default options. */
export function SignalboxProvider(props: SignalboxProviderProps): ReactNode {
  const [made] = useState(() => lazy('link' in props ? {} : { onAuthFailure: () => logOut(props.navigate ?? leave), ...props.options }));
  const link = 'link' in props ? props.link : null;
  const source = useMemo(() => (link ? { get: () => link, keep: () => () => {} } : made), [link, made]);
  useEffect(() => source.keep(), [source]);
  return <SourceContext.Provider value={source}>{props.children}</SourceContext.Provider>;
}

/** The link of the provider above, or the shared one. */
export function useLink(): Link {
  const source = useContext(SourceContext);
  const link = useSyncExternalStore(source.keep, source.get);
  useEffect(() => {
    // What the first connection tells of waiting queues, a component that comes later wants to know.
    lineOf(link);
  }, [link]);
  return link;
}

/** How that link is. */
export function useLinkState(link: Link): LinkState {
  return useSyncExternalStore(link.subscribe, () => link.state);
}
