import type { WindowReport } from './ledger.ts';
import type { Verification } from './verify.ts';

/** Talks to a running load generator. */
export interface LoadClient {
  /** What happened between two moments, milliseconds since the epoch; all and now by default. */
  report(from?: number, to?: number): Promise<WindowReport>;
  /** Looks for every order acknowledged in the window in the database at `url`. */
  verify(url: string, window?: { from?: number; to?: number }): Promise<Verification>;
  /** Stops new requests and waits for those under way. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

export function loadClient(port: number): LoadClient {
  const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const value: unknown = await response.json();
    if (!response.ok) throw new Error(`the load generator refused ${method} ${path}: ${JSON.stringify(value)}`);
    return value;
  };
  return {
    report: async (from, to) => {
      const query = new URLSearchParams({
        ...(from === undefined ? {} : { from: String(from) }),
        ...(to === undefined ? {} : { to: String(to) }),
      });
      return (await ask('GET', `/report?${query}`)) as WindowReport;
    },
    verify: async (url, window = {}) => (await ask('POST', '/verify', { url, ...window })) as Verification,
    pause: async () => void (await ask('POST', '/pause')),
    resume: async () => void (await ask('POST', '/resume')),
  };
}
