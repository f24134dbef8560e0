/** Draws a scenario from a seed. */
import { Random } from './random.ts';
import { type Action, type Fault, type People, type Scenario, type When, WORDS } from './scenario.ts';
import { A, B, CONTROL } from './service.ts';

/** Names of steps as plans have them, so that a fault can strike at each boundary; `$` is a store, `@` a region. */
const STEPS_FROM = [
  'readClaim:$@',
  'claim:$@',
  'fence:$@',
  'prove:$@',
  'drain:shop@',
  'rejoin:$@',
  'settle:shop@',
  'close:$@',
  'fence:edge@',
];
const STEPS_TO = [
  'readClaim:$@',
  'claim:$@',
  'save:shop@',
  'scale:shop@',
  'catchUp:$',
  'promote:$',
  'verify:$',
  'verify-check:ready@',
  'check:ready@',
  'ready:shop@',
  'writable:$',
  'close:$@',
];
const STEPS = [
  'converge:$',
  'save:writer',
  'save:edge',
  'prepare:writer',
  'prepare:edge',
  'preflight:$',
  'route:writer',
  'weight:edge@50',
  'weight:edge@100',
  'observed:edge@50',
  'bake@50',
  'bake@100',
  'settle:writer',
  'settle:edge',
  'observe:$',
];
const PLANNING = ['resolveRequest', 'compilePlan', 'findDirection', 'assessFacts', 'watch the facts', 'observe:$@'];
const UNDOS = ['undo:fence:$@', 'undo:prepare:edge', 'undo:prepare:writer', 'undo:scale:shop@', 'undo:claim:$@'];

type What = Fault['what'];

const AT_PROMOTION = ['approve', 'approve', 'approve', 'approve', 'reject', 'expire'] as const;
const BESIDE_NUMBERS = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2];

const WEIGHTS: Partial<Record<What, number>> = {
  ...{ fail: 5, loseAnswer: 8, freezeWorker: 9, twice: 6 },
  ...{ crashControl: 4, crashRegionWorker: 5, killStore: 5, freezeStore: 5, loseRegion: 5, cutRegion: 4 },
  ...{
    lag: 3,
    stall: 3,
    stale: 3,
    deaf: 3,
    revert: 2,
    routerDown: 3,
    breakApp: 4,
    blindCheck: 3,
    clockJump: 3,
    forgetSamples: 1,
  },
  ...{ cancel: 4, abort: 4, pause: 3, resume: 1, escalate: 4, escalateBack: 3, withdraw: 2, secondStart: 2 },
};
/** Drawn beside the others, from chance of their own: without them a seed is the scenario that it has always been. */
const BESIDE: Partial<Record<What, number>> = { serverDown: 6, controlDown: 4, crashControl: 3, controlClockJump: 3 };
/** From chance of its own as well. */
const LOST: Partial<Record<What, number>> = { terminate: 1 };
const ATTEMPT_ONLY = new Set<What>(['fail', 'loseAnswer', 'freezeWorker', 'twice']);

export function drawScenario(seed: number): Scenario {
  const random = new Random(seed);
  const stores = random.chance(0.2) ? ['orders-db', 'sessions-db'] : ['orders-db'];
  const { actions, faults: given } = drawActions(random);
  const faults = [...given];
  for (let left = random.pick([0, 1, 1, 2, 2, 3, 4]); left > 0; left--)
    faults.push(drawFault(random, stores, actions, WEIGHTS));
  const beside = new Random(seed, 1);
  for (let left = beside.pick(BESIDE_NUMBERS); left > 0; left--)
    faults.push(drawFault(beside, stores, actions, BESIDE));
  const lost = new Random(seed, 3);
  if (lost.chance(0.1)) faults.push(drawFault(lost, stores, actions, LOST));
  return {
    seed,
    actions,
    faults,
    people: { ...drawPeople(random), atPromotion: new Random(seed, 2).pick(AT_PROMOTION) },
    stores,
    lagMs: random.pick([0, 20, 50, 300]),
    approvals: random.pick([1, 1, 1, 2, 0]),
    rpoMs: random.pick([2_000, 60_000]),
    gateMs: random.pick([30_000, 120_000]),
    onTimeout: random.pick(['hold', 'hold', 'reject']),
    onFailure: random.pick(['rollback', 'rollback', 'hold']),
    rampFails: random.pick(['rollback', 'hold']),
    unplannedRamp: random.pick(['jump', 'ramp']),
    writes: random.pick(['global', 'global', 'local']),
    eager: random.chance(0.25),
    batching: random.pick(['together', 'apart']),
    skew: drawSkew(beside),
  };
}

function drawActions(random: Random): { actions: Action[]; faults: Fault[] } {
  const planned: Action = { type: 'failover', request: { to: B } };
  const unplanned: Action = { type: 'failover', request: { to: B, mode: 'unplanned' } };
  const forced: Action = { type: 'failover', request: { to: B, mode: 'unplanned', override: ['healthySource'] } };
  const back: Action = { type: 'failback', request: {} };
  const ramp: Action = { type: 'trafficRamp', request: { to: B, percent: random.pick([50, 100]) } };
  const reprotect: Action = { type: 'reprotect', request: {} };
  const lost: Fault = {
    when: { ms: random.int(0, 6_000) },
    what: random.pick(['loseRegion', 'cutRegion', 'freezeStore', 'killStore'] as const),
    region: A,
    ms: random.pick([3_000, 20_000, 60_000, 150_000]),
  };
  switch (
    random.weighted({ planned: 42, unplanned: 22, forced: 8, back: 8, ramp: 6, repeat: 4, long: 6, reprotect: 4 })
  ) {
    case 'planned':
      return { actions: [planned], faults: [] };
    case 'unplanned':
      return { actions: [unplanned], faults: [lost] };
    case 'forced':
      return { actions: [forced], faults: [] };
    case 'back':
      return { actions: [planned, back], faults: [] };
    case 'ramp':
      return { actions: [ramp], faults: [] };
    case 'repeat':
      return { actions: [planned, planned], faults: [] };
    case 'reprotect':
      return { actions: [unplanned, reprotect], faults: [lost] };
    case 'long':
      return { actions: [unplanned, reprotect, back], faults: [lost] };
  }
}

function drawFault(random: Random, stores: string[], actions: Action[], weights: Partial<Record<What, number>>): Fault {
  const what = random.weighted(weights as Record<What, number>);
  const region = random.pick([A, B]);
  const ms = random.pick([400, 1_700, 3_500, 6_001, 12_000, 45_000, 90_001]);
  const word = (WORDS as readonly string[]).includes(what);
  if (!ATTEMPT_ONLY.has(what) && random.chance(word ? 0.4 : 0.3))
    return { what, region, ms, when: { ms: random.int(0, 14_000 * actions.length) } };
  return { what, region, ms, when: drawBoundary(random, stores, actions, what) };
}

/** Most machines keep time; where they do not, it is by little or by much. */
function drawSkew(random: Random): Record<string, number> {
  if (!random.chance(0.15)) return {};
  const one = (): number => random.pick([0, 40, 700, 3_000, 12_000, 50_000]) * random.pick([-1, 1]);
  return Object.fromEntries([CONTROL, `${CONTROL}.${A}`, `${CONTROL}.${B}`].map((queue) => [queue, one()]));
}

function drawBoundary(random: Random, stores: string[], actions: Action[], what: What): When {
  const back = actions.length > 1 && random.chance(0.3);
  const [from, to] = back ? [B, A] : [A, B];
  const kind = random.weighted({ from: 8, to: 9, any: 7, planning: 2, undos: 3 });
  const lists = { from: STEPS_FROM, to: STEPS_TO, any: STEPS, planning: PLANNING, undos: UNDOS };
  const side = kind === 'to' || (kind !== 'from' && random.chance(0.4)) ? to : from;
  const step = random.pick(lists[kind]).replace('$', random.pick(stores)).replace(/@$/, `@${side}`);
  const nth = back || random.chance(0.12) ? 2 : 1;
  const op = what === 'loseAnswer' ? 99 : random.pick([0, 1, 1, 2, 2, 3, 99]);
  return { step, nth, op };
}

function drawPeople(random: Random): Omit<People, 'atPromotion'> {
  return {
    delayMs: random.pick([300, 1_000, 4_000, 9_000]),
    rejects: random.chance(0.06),
    twice: random.chance(0.15),
    wrongGate: random.chance(0.12),
    lateMs: random.pick([0, 0, 0, 15_000, 70_000]),
    atHold: random.pick(['retry', 'retry', 'abort', 'escalate', 'skip']),
  };
}
