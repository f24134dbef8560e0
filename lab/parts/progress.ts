import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Draws a bar on a terminal while a download grows inside `folder`; does nothing in a log file. The size is
 * read from the disk, because pip prints its own bar only to a terminal it owns.
 * @param total expected size, bytes
 */
export function showProgress(folder: string, total: number): { stop(): void } {
  const terminal = process.stderr;
  if (!terminal.isTTY) return { stop: () => {} };
  const draw = (): void => {
    const share = Math.min(1, sizeOf(folder) / total);
    const filled = Math.round(share * 30);
    terminal.write(`\r  [${'#'.repeat(filled)}${'.'.repeat(30 - filled)}] ${Math.round(share * 100)}% `);
  };
  const timer = setInterval(draw, 100);
  timer.unref();
  return {
    stop: () => {
      clearInterval(timer);
      terminal.write('\r\x1b[K');
    },
  };
}

function sizeOf(folder: string): number {
  try {
    return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
      const path = join(folder, entry.name);
      return sum + (entry.isDirectory() ? sizeOf(path) : statSync(path).size);
    }, 0);
  } catch {
    return 0; // a file that vanished between two calls
  }
}
