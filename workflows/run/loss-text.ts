import type { LossStatement } from '../../drivers/ports.ts';
import type { Run } from './state.ts';

/** A loss statement in one line. */
export function lossText(loss: LossStatement): string {
  if (loss.kind === 'none') return 'none';
  const window = `${loss.fromTime ?? 'unknown'} to ${loss.toTime ?? 'still open'}`;
  const bytes = loss.atLeastBytes === null ? '' : `, at least ${loss.atLeastBytes} bytes`;
  return `${loss.kind}: ${window}${loss.seconds === null ? '' : ` (${loss.seconds} s)`}${bytes}`;
}

/** What the old sides hold alone, as far as this plan has listed it: what a rebuild takes out of the database. */
export function leftBehindText(run: Run): string {
  const steps = run.plan!.stages.flatMap((stage) => stage.steps).filter((step) => step.verb === 'leftBehind');
  return steps
    .map(
      ({ id, summary }) =>
        run.receipts.get(id)?.summary ?? `not known: "${summary}" failed; the old data is kept aside`,
    )
    .join('; ');
}
