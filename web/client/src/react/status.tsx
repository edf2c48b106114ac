// A banner that says how the connection is, where it is not as it should be.
import { useEffect, useRef, type CSSProperties, type ReactNode } from 'react';
import { useLink, useLinkState } from './provider.js';

/** What the banner is told. Without `isConnected` it looks by itself, at the link of its provider. */
export interface ConnectionStatusProps {
  isConnected?: boolean;
  isReconnecting?: boolean;
  /** What to write, for instance in another language. */
  texts?: { reconnecting?: string; lost?: string };
}

// Set by script, one property after the other: a Content-Security-Policy without inline styles allows that.
const BANNER: CSSProperties = {
  display: 'flex', alignItems: 'center', justifyContent: 'center', gap: '0.6em', padding: '0.6em 1em', font: 'inherit', textAlign: 'center',
};
const YELLOW: CSSProperties = { ...BANNER, backgroundColor: '#ffd54f', color: '#3e2f00' };
const RED: CSSProperties = { ...BANNER, backgroundColor: '#b3261e', color: '#ffffff' };
const SPINNER: CSSProperties = {
  width: '1em', height: '1em', boxSizing: 'border-box', borderWidth: '0.15em', borderStyle: 'solid', borderColor: 'currentColor',
  borderTopColor: 'transparent', borderRadius: '50%',
};

function Spinner(): ReactNode {
  const ring = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const calm = typeof matchMedia === 'function' && matchMedia('(prefers-reduced-motion: reduce)').matches;
    // It ends with the element.
    if (!calm) ring.current?.animate?.([{ transform: 'rotate(0deg)' }, { transform: 'rotate(360deg)' }], { duration: 1_000, iterations: Infinity });
  }, []);
  return <span ref={ring} aria-hidden="true" data-spinner style={SPINNER} />;
}

/** Nothing while connected, a yellow banner with a spinner while reconnecting, a red one when the connection is lost. */
export function ConnectionStatus({ isConnected, ...props }: ConnectionStatusProps): ReactNode {
  return isConnected === undefined ? <OwnStatus {...props} /> : <Banner isConnected={isConnected} {...props} />;
}

function OwnStatus({ texts }: ConnectionStatusProps): ReactNode {
  const state = useLinkState(useLink());
  // What was never there is not missed yet, and what the page itself has closed is not missed at all.
  const fine = state === 'connected' || state === 'connecting' || state === 'closed';
  return <Banner isConnected={fine} isReconnecting={state === 'reconnecting'} texts={texts} />;
}

function Banner({ isConnected, isReconnecting, texts }: ConnectionStatusProps): ReactNode {
  if (isConnected) return null;
  if (isReconnecting) {
    return (
      <div role="status" style={YELLOW}>
        <Spinner />
        {texts?.reconnecting ?? 'Reconnecting…'}
      </div>
    );
  }
  return <div role="alert" style={RED}>{texts?.lost ?? 'The connection is lost.'}</div>;
}
