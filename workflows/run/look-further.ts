/** At an open gate: what the watch of the facts cannot see by itself, asked again while it speaks against the run. */
import type { Observations } from '../../plan/model.ts';
import { preflightAll, probeAgain } from './measure.ts';
import { identityOf, type Run } from './state.ts';

/**
 * What speaks against the run and the watch cannot see: whether a worker is there, and what the drivers' own preflight
 * says. Of what has been mended since, nobody may be told for ever.
 */
export function needsMore({ places, preflight }: Observations): boolean {
  const blocked = Object.values(preflight).some((found) => found.some(({ severity }) => severity === 'blocker'));
  return blocked || Object.values(places).some(({ build }) => build === null);
}

/** Asks for that again. */
export async function lookFurther(run: Run, seen: Observations): Promise<Observations> {
  const { from, to, mode } = run.plan!;
  const [places, preflight] = await Promise.all([
    probeAgain(seen.places),
    from === null ? seen.preflight : preflightAll(run.resolved!, identityOf(run), { from, to, mode }),
  ]);
  return { ...seen, places, preflight };
}
