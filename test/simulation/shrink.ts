/** Makes a failing scenario shorter: leaves out whatever it fails without. */
import type { Scenario } from './scenario.ts';

const CALM: Partial<Scenario> = {
  ...{
    lagMs: 20,
    approvals: 1,
    gateMs: 120_000,
    rpoMs: 60_000,
    onTimeout: 'hold',
    onFailure: 'rollback',
    rampFails: 'rollback',
  },
  ...{ unplannedRamp: 'jump', writes: 'global', eager: false, batching: 'together' },
};
const CALM_PEOPLE: Partial<Scenario['people']> = {
  ...{
    delayMs: 1_000,
    rejects: false,
    atPromotion: 'approve',
    twice: false,
    wrongGate: false,
    lateMs: 0,
    atHold: 'retry',
  },
};

/** What a scenario may be cut to in one step, the greatest cut first. */
function* cuts(scenario: Scenario): Generator<Scenario> {
  const { actions, faults, stores, people } = scenario;
  for (let n = 1; n < actions.length; n++) yield { ...scenario, actions: actions.slice(0, n) };
  for (let i = 0; i < faults.length; i++) yield { ...scenario, faults: faults.filter((_, j) => j !== i) };
  if (stores.length > 1) yield { ...scenario, stores: stores.slice(0, 1) };
  if (Object.keys(scenario.skew).length > 0) yield { ...scenario, skew: {} };
  for (const [key, value] of Object.entries(CALM))
    if (scenario[key as keyof Scenario] !== value) yield { ...scenario, [key]: value };
  for (const [key, value] of Object.entries(CALM_PEOPLE))
    if (people[key as keyof typeof people] !== value) yield { ...scenario, people: { ...people, [key]: value } };
}

/**
 * @param fails whether a scenario still shows what the first one showed
 * @param tries most scenarios to play
 */
export async function shrink(
  scenario: Scenario,
  fails: (scenario: Scenario) => Promise<boolean>,
  tries = 120,
): Promise<Scenario> {
  let best = scenario;
  for (let again = true; again; ) {
    again = false;
    for (const shorter of cuts(best)) {
      if (tries-- <= 0) return best;
      if (!(await fails(shorter))) continue;
      best = shorter;
      again = true;
      break;
    }
  }
  return best;
}
