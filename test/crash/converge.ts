/** After a cell's own run: the request again, and what its answers say, until the service is where it was asked to be. */
import type { Ground, RunDone } from './ground.ts';

/** Requests after the cell's own until the service must be where it was asked to be. */
const REPEATS = 4;

/** Repeats the request, as somebody would who reads what each run says, until there is nothing left to do. */
export async function converge(
  ground: Ground,
  action: string,
  input: { service: string; to: string },
  runs: RunDone[],
): Promise<{ after: string[]; stuck: string | null }> {
  const after: string[] = [];
  const again = async (type: string, more: object): Promise<RunDone> => {
    ground.at('cell', `${after.length + 1} requests after it`);
    const done = await ground.run(type, { service: 'checkout', ...more });
    runs.push(done);
    after.push(
      `${type}${'mode' in more ? ` ${more.mode}` : ''}: ${done.seen?.record.outcome === 'nothingToDo' ? 'nothing to do' : done.status}`,
    );
    return done;
  };
  const last = (): RunDone => runs.at(-1)!;
  for (let n = 0; n < REPEATS; n += 1) {
    if (last().status === 'completed' && n > 0) break;
    const { text } = last();
    // Somebody does what it says, where that is nothing that Rampart does.
    if (/is the primary, and it is down/.test(text)) await ground.hands.startDatabase(input.to);
    if (/rampart reprotect/.test(text) && last().status === 'Refused') await again('reprotect', {});
    const down = /is the primary, and it is down/.test(text);
    const unplanned = last().status === 'Refused' && /--mode unplanned/.test(text) && !down;
    await again(action, { ...input, ...(unplanned ? { mode: 'unplanned' } : {}) });
    await ground.hands.mend();
  }
  if (last().status !== 'completed') return { after, stuck: `does not converge: ${last().status}: ${last().text}` };
  if (action !== 'trafficRamp') {
    const owed = last().debts > 0 || !(await isProtected(ground));
    if (owed) await again('reprotect', {});
    if (last().status !== 'completed')
      return { after, stuck: `is not protected again: ${last().status}: ${last().text}` };
    ground.at('cell', 'the other side is to follow');
    const follows = await ground.hands.world.untilProtected().then(
      () => true,
      () => false,
    );
    if (!follows)
      return {
        after,
        stuck: `has no replica that follows: ${JSON.stringify(await ground.hands.roles())}: ${last().text}`,
      };
    const { active } = await ground.hands.world.sides();
    if (active !== input.to) return { after, stuck: `is active in ${active}, not in ${input.to}` };
  }
  // A run that found nothing to do has just said so.
  if (last().seen?.record.outcome === 'nothingToDo') return { after, stuck: null };
  const plan = await ground.plan(action === 'failback' ? 'failover' : action, input);
  if (plan.nothingToDo === null) return { after, stuck: `is not finished: ${plan.facts.classified.text}` };
  return { after, stuck: null };
}

/** Databases that died beside a run that is no matter of theirs: somebody else starts them. */
export async function startDatabases({ hands }: Ground): Promise<void> {
  const roles = await hands.roles();
  for (const region of Object.keys(roles)) if (roles[region] === 'stopped') await hands.startDatabase(region);
  await hands.world.untilProtected();
}

async function isProtected({ hands }: Ground): Promise<boolean> {
  const roles = Object.values(await hands.roles());
  return roles.includes('primary') && roles.includes('replica') && roles.length === 2;
}
