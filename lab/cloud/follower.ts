/** Something real that follows what an emulated control plane says. */
export interface Follower {
  /** Looks at once; while a look is under way, once more after it. */
  nudge(): void;
}

/**
 * Between two looks that nobody asked for, in milliseconds: what failed, or was started again meanwhile, is caught up.
 * What the provider is told is looked at at once.
 */
const EVERY_MS = 1_000;
/** Before the next look at what is on its way. */
const SOON_MS = 10;

/**
 * Looks until the process ends, never twice at once.
 * @param look brings what is real to what is wanted, in one pass; `false`: once more soon, it is on its way
 */
export function follow(name: string, look: () => Promise<boolean>): Follower {
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let asked = false;
  let told = '';
  const run = async (): Promise<void> => {
    if (looking) {
      asked = true;
      return;
    }
    looking = true;
    asked = false;
    clearTimeout(timer);
    const settled = await look().then(
      (there) => {
        told = '';
        return there;
      },
      (error: Error) => {
        // Once for each failure: a region that is cut off fails until it is healed.
        if (error.message !== told) console.error(`${name}: ${error.stack}`);
        told = error.message;
        return true;
      },
    );
    looking = false;
    timer = setTimeout(run, asked || !settled ? SOON_MS : EVERY_MS);
  };
  void run();
  return { nudge: () => void run() };
}
