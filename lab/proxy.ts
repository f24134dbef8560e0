/**
 * A TCP proxy that stands for a link between two places of the lab. It can be cut, slowed and stalled
 * without privileges.
 */
import { createServer, type Server, Socket } from 'node:net';

/** What a link does to its connections. */
export interface LinkState {
  /**
   * `open`: bytes flow. `blackhole`: bytes and new connections vanish, as with a dropped route: nobody is
   * told. `refuse`: connections are reset, new ones too. `stall`: connections stay and nothing moves, as
   * with a full queue; what was on its way when an end dies is lost.
   */
  mode: 'open' | 'blackhole' | 'refuse' | 'stall';
  /** Added to every byte's way in each direction, milliseconds. */
  delayMs: number;
}

export interface Link {
  /** Where the link takes connections, on 127.0.0.1. */
  port: number;
  /** The state now. */
  state(): LinkState;
  /** Changes the state; it takes effect on present and new connections at once. */
  set(change: Partial<LinkState>): void;
  /** Connections through the link now. */
  connections(): number;
  close(): Promise<void>;
}

/**
 * Opens a link.
 * @param options.port where it takes connections; 0 or none for a free one
 * @param options.to where it leads
 */
export async function openLink(options: { port?: number; to: { host?: string; port: number } }): Promise<Link> {
  let state: LinkState = { mode: 'open', delayMs: 0 };
  const pairs = new Set<Pair>();
  const server: Server = createServer({ noDelay: true }, (near) => {
    if (state.mode === 'refuse') {
      near.on('error', () => {});
      near.resetAndDestroy();
      return;
    }
    const pair = new Pair(near, options.to, () => state);
    pairs.add(pair);
    near.once('close', () => pairs.delete(pair));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (!address || typeof address === 'string') throw new Error('the link has no port');
  return {
    port: address.port,
    state: () => ({ ...state }),
    set: (change) => {
      // What waited in a stalled queue is dropped with its connection: an end may have died meanwhile, and
      // its last bytes must not arrive from the grave.
      const drop = state.mode === 'stall' && change.mode !== undefined && change.mode !== 'stall';
      state = { ...state, ...change };
      for (const pair of [...pairs]) {
        if (drop) pair.reset();
        else pair.apply();
      }
    },
    connections: () => pairs.size,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const pair of pairs) pair.reset();
      await closed;
    },
  };
}

/** One connection through a link: the caller's socket and ours to the other end. */
class Pair {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #to: { host?: string; port: number };
  readonly #state: () => LinkState;
  #dialed = false;

  constructor(near: Socket, to: { host?: string; port: number }, state: () => LinkState) {
    this.#near = near;
    this.#far = new Socket();
    this.#far.setNoDelay(true);
    this.#to = to;
    this.#state = state;
    this.#join(near, this.#far);
    this.#join(this.#far, near);
    near.pause();
    this.apply();
  }

  /** Brings both sockets into the state of the link. */
  apply(): void {
    const { mode } = this.#state();
    if (mode === 'refuse') {
      this.reset();
    } else if (mode === 'open') {
      this.#dial();
      this.#near.resume();
      this.#far.resume();
    } else {
      this.#near.pause();
      this.#far.pause();
    }
  }

  reset(): void {
    if (!this.#near.destroyed) this.#near.resetAndDestroy();
    this.#far.destroy();
  }

  /** Dials on first need, so that a connection into a black hole never reaches the other end. */
  #dial(): void {
    if (this.#dialed) return;
    this.#dialed = true;
    this.#far.connect({ host: this.#to.host ?? '127.0.0.1', port: this.#to.port });
  }

  #join(from: Socket, to: Socket): void {
    from.on('data', (chunk) => {
      const { delayMs } = this.#state();
      if (delayMs > 0) setTimeout(() => this.#forward(from, to, chunk), delayMs);
      else this.#forward(from, to, chunk);
    });
    from.on('end', () => {
      const { delayMs } = this.#state();
      if (delayMs > 0) setTimeout(() => to.end(), delayMs);
      else to.end();
    });
    from.on('error', () => this.reset());
    from.once('close', () => {
      // In a black hole the other end does not learn that this one has gone.
      if (this.#state().mode !== 'blackhole') to.destroySoon();
    });
  }

  #forward(from: Socket, to: Socket, chunk: Buffer): void {
    if (to.destroyed || to.writableEnded) return;
    if (to.write(chunk)) return;
    from.pause();
    to.once('drain', () => {
      if (this.#state().mode === 'open') from.resume();
    });
  }
}
