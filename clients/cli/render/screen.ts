/** A block of lines at the bottom of a terminal that is drawn over and over. */
import type { Io } from '../io.ts';
import { fold } from './table.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

export class Screen {
  private readonly io: Io;
  private drawn = 0;
  private last = '';

  constructor(io: Io) {
    this.io = io;
    io.out(HIDE_CURSOR);
  }

  /** Draws the lines over the last ones; what does not fit is cut, the end first. */
  draw(lines: readonly string[]): void {
    const { columns, rows } = this.io.size();
    const shown = lines.flatMap((line) => fold(line, columns)).slice(0, Math.max(1, rows - 1));
    const frame = shown.join('\n');
    if (frame === this.last) return;
    this.io.out(`${this.home()}${frame}\n`);
    this.drawn = shown.length;
    this.last = frame;
  }

  /** Leaves the last block where it is, and the cursor below it. */
  end(): void {
    this.io.out(SHOW_CURSOR);
  }

  /** Up to the first line of the last block, and everything below it cleared. */
  private home(): string {
    return this.drawn === 0 ? '' : `\u001b[${this.drawn}F\u001b[0J`;
  }
}
