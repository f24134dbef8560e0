import type { LossStatement } from '../../drivers/ports.ts';

/** A loss statement in one line. */
export function lossText(loss: LossStatement): string {
  if (loss.kind === 'none') return 'none';
  const window = `${loss.fromTime ?? 'unknown'} to ${loss.toTime ?? 'still open'}`;
  const bytes = loss.atLeastBytes === null ? '' : `, at least ${loss.atLeastBytes} bytes`;
  return `${loss.kind}: ${window}${loss.seconds === null ? '' : ` (${loss.seconds} s)`}${bytes}`;
}
