/** Settings of synchronous replication that a promotion set aside: owed until the replicas they name are there again. */
import type { Json, Receipt } from '../../drivers/ports.ts';
import type { Verb } from '../../plan/model.ts';
import type { Run } from './state.ts';

/**
 * Notes or pays the debt by all that this plan's steps have said of a store. Several bring back replicas at once, and
 * whose word comes last says nothing: what one of them has put back is not waiting, although another found it so.
 */
export function noteSyncDebt(run: Run, component: string): void {
  const said = (verbs: readonly Verb[], fact: string): string[] =>
    receipts(run, component, verbs).flatMap(({ facts }) => strings(facts[fact]));
  const asked = (verbs: readonly Verb[], fact: string): boolean =>
    receipts(run, component, verbs).some(({ facts }) => Array.isArray(facts[fact]));
  const followed = asked(FOLLOWING, 'syncWaiting');
  if (!followed && !asked(['verifyWritable'], 'suspended')) return;
  const restored = said(FOLLOWING, 'syncRestored');
  const owed = followed ? said(FOLLOWING, 'syncWaiting') : said(['verifyWritable'], 'suspended');
  const names = [...new Set(owed)].filter((name) => !restored.includes(name));
  const { to } = run.plan!;
  if (names.length === 0) run.payDebt('syncSuspended', component);
  else
    run.addDebt({
      code: 'syncSuspended',
      component,
      region: to,
      message: `${names.join(' and ')} of ${component} in ${to} is set aside until the replicas it names are there: a commit waits for none`,
      remedy: `rampart reprotect ${run.record.service}`,
    });
}

const FOLLOWING: readonly Verb[] = ['rejoin', 'rebuild'];

function receipts(run: Run, component: string, verbs: readonly Verb[]): Receipt[] {
  const steps = run.plan!.stages.flatMap((stage) => stage.steps);
  return steps
    .filter((step) => step.component === component && verbs.includes(step.verb))
    .flatMap((step) => run.receipts.get(step.id) ?? []);
}

const strings = (value: Json | undefined): string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
