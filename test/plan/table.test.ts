/** Every row of the observation table, in both modes. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../plan/compile.ts';
import type { CompileInput, Plan } from '../../plan/model.ts';
import type { OwnStep } from '../../topology/model.ts';
import { A, B, input, nodeSeen, position, replicaOf, WORLDS, withSessions } from './world.ts';

const SESSIONS_A = `sessions-db-${A}`;
const SESSIONS_B = `sessions-db-${B}`;
const row = (name: string) => input(WORLDS[name]!());
const partly = () =>
  withSessions(input(WORLDS['promoted(B)']!()), [
    nodeSeen(SESSIONS_A, A, 'fenced'),
    replicaOf(SESSIONS_B, B, SESSIONS_A, { upstream: { address: 'x:1', node: SESSIONS_A, streaming: false } }),
  ]);

interface Row {
  state: string;
  region: string | null;
  from: string | null;
  resumeAt: Plan['resumeAt'];
  nothing?: true;
  blockers: string[];
  /** Stages after preflight and prepare. */
  stages: string[];
  past?: true;
  pnr: string | null;
  /** A person must decide, whatever the policy says. */
  asks?: true;
}

const TAIL = ['route', 'ramp', 'drain'];
const CUT = ['fence', 'catch-up', 'promote', ...TAIL];
const P = [...CUT, 'reprotect', 'settle'];
const U = [...CUT, 'settle'];
const PNR = 'promote:orders-db';

const TABLE: Array<[name: string, make: () => CompileInput, planned: Row, unplanned: Row]> = [
  [
    'steady(A)',
    () => row('steady(A)'),
    { state: 'steady', region: A, from: A, resumeAt: null, blockers: [], stages: P, pnr: PNR },
    { state: 'steady', region: A, from: A, resumeAt: null, blockers: ['healthySource'], stages: U, pnr: PNR },
  ],
  [
    'steady(B)',
    () => row('steady(B)'),
    { state: 'steady', region: B, from: A, resumeAt: null, nothing: true, blockers: [], stages: [], pnr: null },
    { state: 'steady', region: B, from: A, resumeAt: null, nothing: true, blockers: [], stages: [], pnr: null },
  ],
  [
    'source lost(A)',
    () => row('sourceLost(A)'),
    {
      state: 'sourceLost',
      region: A,
      from: A,
      resumeAt: null,
      blockers: ['sourceLost'],
      stages: P,
      pnr: PNR,
      asks: true,
    },
    { state: 'sourceLost', region: A, from: A, resumeAt: null, blockers: [], stages: U, pnr: PNR, asks: true },
  ],
  [
    'fenced(A)',
    () => row('fenced(A)'),
    { state: 'fenced', region: A, from: A, resumeAt: 'catch-up', blockers: [], stages: P, pnr: PNR },
    { state: 'fenced', region: A, from: A, resumeAt: 'promote', blockers: [], stages: U, pnr: PNR },
  ],
  [
    'partly promoted',
    partly,
    {
      state: 'partlyPromoted',
      region: B,
      from: A,
      resumeAt: 'promote',
      blockers: [],
      stages: P,
      past: true,
      pnr: 'promote:sessions-db',
      asks: true,
    },
    {
      state: 'partlyPromoted',
      region: B,
      from: A,
      resumeAt: 'promote',
      blockers: [],
      stages: U,
      past: true,
      pnr: 'promote:sessions-db',
      asks: true,
    },
  ],
  [
    'promoted(B), not routed',
    () => row('promoted(B)'),
    {
      state: 'promoted',
      region: B,
      from: A,
      resumeAt: 'verify',
      blockers: [],
      stages: [...TAIL, 'reprotect', 'settle'],
      past: true,
      pnr: null,
    },
    {
      state: 'promoted',
      region: B,
      from: A,
      resumeAt: 'verify',
      blockers: [],
      stages: [...TAIL, 'settle'],
      past: true,
      pnr: null,
    },
  ],
  [
    'mid-ramp(B)',
    () => row('midRamp(B)'),
    {
      state: 'midRamp',
      region: B,
      from: A,
      resumeAt: 'ramp',
      blockers: [],
      stages: ['ramp', 'drain', 'reprotect', 'settle'],
      past: true,
      pnr: null,
    },
    {
      state: 'midRamp',
      region: B,
      from: A,
      resumeAt: 'ramp',
      blockers: [],
      stages: ['ramp', 'drain', 'settle'],
      past: true,
      pnr: null,
    },
  ],
  [
    'unsettled(B)',
    () => row('unsettled(B)'),
    {
      state: 'unsettled',
      region: B,
      from: A,
      resumeAt: 'drain',
      blockers: [],
      stages: ['drain', 'reprotect', 'settle'],
      past: true,
      pnr: null,
    },
    {
      state: 'unsettled',
      region: B,
      from: A,
      resumeAt: 'drain',
      blockers: [],
      stages: ['drain', 'settle'],
      past: true,
      pnr: null,
    },
  ],
  [
    'none writable',
    () => row('noneWritable'),
    { state: 'noneWritable', region: A, from: A, resumeAt: 'fence', blockers: [], stages: P, pnr: PNR, asks: true },
    { state: 'noneWritable', region: A, from: A, resumeAt: 'fence', blockers: [], stages: U, pnr: PNR, asks: true },
  ],
  [
    'two writable',
    () => row('twoWritable'),
    {
      state: 'twoWritable',
      region: A,
      from: A,
      resumeAt: 'fence',
      blockers: ['splitBrain'],
      stages: ['fence', ...TAIL, 'reprotect', 'settle'],
      past: true,
      pnr: null,
      asks: true,
    },
    {
      state: 'twoWritable',
      region: A,
      from: A,
      resumeAt: 'fence',
      blockers: [],
      stages: ['fence', ...TAIL, 'settle'],
      past: true,
      pnr: null,
      asks: true,
    },
  ],
  [
    'unknown: the target cannot be read',
    () => row('unknown(target)'),
    {
      state: 'unknown',
      region: A,
      from: A,
      resumeAt: null,
      blockers: ['unknownState'],
      stages: P,
      pnr: PNR,
      asks: true,
    },
    {
      state: 'unknown',
      region: A,
      from: A,
      resumeAt: null,
      blockers: ['unknownState', 'healthySource'],
      stages: U,
      pnr: PNR,
      asks: true,
    },
  ],
];

const seen = (plan: Plan): Row => ({
  state: plan.facts.classified.state,
  region: plan.facts.classified.region,
  from: plan.from,
  resumeAt: plan.resumeAt,
  ...(plan.nothingToDo === null ? {} : { nothing: true }),
  blockers: plan.facts.blockers.map((one) => one.code),
  stages: plan.stages.map((stage) => stage.name).filter((name) => name !== 'preflight' && name !== 'prepare'),
  ...(plan.pastPointOfNoReturn ? { past: true } : {}),
  pnr: plan.pointOfNoReturn,
  ...(plan.facts.asks?.length ? { asks: true } : {}),
});

describe('what a request finds', () => {
  for (const [name, make, planned, unplanned] of TABLE) {
    for (const [mode, expected] of [
      ['planned', planned],
      ['unplanned', unplanned],
    ] as const) {
      it(`${name}, ${mode}`, () => {
        const base = make();
        // Without samples no loss window has a beginning; rows other than a lost source are not about that.
        const plan = compilePlan({ ...base, request: { ...base.request, mode } });
        const found = seen(plan);
        const asked = expected.asks ?? (mode === 'unplanned' && found.asks ? found.asks : undefined);
        expect(found).toEqual({ ...expected, ...(asked ? { asks: true } : {}) });
      });
    }
  }

  it('never lets a gate open by itself on a row that is no ordinary start', () => {
    for (const name of ['sourceLost(A)', 'noneWritable', 'twoWritable']) {
      const base = input(WORLDS[name]!(), { mode: 'unplanned' });
      const policy = { ...base.service.approvals.cutover, required: 0 };
      base.service.approvals = { ...base.service.approvals, cutover: policy };
      const gate = compilePlan(base).stages.find((stage) => stage.gate?.name === 'cutover')?.gate;
      expect(gate?.policy.required, name).toBe(1);
    }
  });

  it('passes a healthy source only by its override, and says so', () => {
    const plan = compilePlan(input(WORLDS['steady(A)']!(), { mode: 'unplanned', override: ['healthySource'] }));
    expect(plan.facts.blockers).toEqual([]);
    expect(plan.facts.warnings.map((one) => one.code)).toContain('healthySource');
    expect(plan.facts.asks?.some((text) => text.startsWith('Accepted (healthySource)'))).toBe(true);
  });

  it('offers the unplanned command when the source is lost', () => {
    const plan = compilePlan(row('sourceLost(A)'));
    expect(plan.facts.blockers[0]?.remedy).toContain(
      'rampart start failover --service checkout --to eu-central --mode unplanned',
    );
  });

  it('takes from out of what the replicas follow, then the last sample, then the request', () => {
    const none = (upstream: boolean) =>
      withNodes('sourceLost(A)', [
        nodeSeen(`orders-db-${A}`, A, 'unreachable'),
        nodeSeen(`orders-db-${B}`, B, 'replica', {
          upstream: upstream ? { address: 'x:1', node: `orders-db-${A}`, streaming: false } : null,
        }),
      ]);
    expect(compilePlan(none(true)).fromSource).toBe('primary_conninfo');
    const sampled = none(false);
    expect(compilePlan(sampled)).toMatchObject({ from: A, fromSource: 'sample' });
    const asked = { ...sampled, observations: { ...sampled.observations, samples: {} } };
    expect(compilePlan({ ...asked, request: { ...asked.request, from: A } })).toMatchObject({
      from: A,
      fromSource: 'request',
    });
    expect(compilePlan(asked)).toMatchObject({ from: A, fromSource: 'none' });
  });

  it('is unclear, not lost, when the source answers but not conclusively', () => {
    const planned = compilePlan(row('unknown(source)'));
    expect(planned.facts.blockers.map((one) => [one.code, one.override])).toEqual([['sourceUnclear', undefined]]);
    expect(planned.facts.blockers[0]?.message).toContain('password authentication failed');
    const unplanned = compilePlan(input(WORLDS['unknown(source)']!(), { mode: 'unplanned' }));
    expect(unplanned.facts.blockers.map((one) => [one.code, one.override])).toEqual([
      ['sourceUnclear', 'sourceUnclear'],
    ]);
  });

  it('counts a stale reading as none', () => {
    const base = row('steady(A)');
    const nodes = base.observations.stores['orders-db']!.map((node) =>
      node.region === B ? { ...node, observedAt: base.now - 61_000 } : node,
    );
    const plan = compilePlan({ ...base, observations: { ...base.observations, stores: { 'orders-db': nodes } } });
    expect(plan.facts.classified.state).toBe('unknown');
    expect(plan.facts.classified.missing.join()).toContain('61 s old');
  });

  it('fences the lower timeline, and goes to it only by name', () => {
    const toLower = compilePlan(input(WORLDS.twoWritable!(), { mode: 'unplanned', to: A }));
    expect(toLower.facts.blockers.map((one) => one.override)).toEqual(['lowerTimeline']);
    expect(toLower.stages.flatMap((stage) => stage.steps).filter((step) => step.verb === 'fence')).toMatchObject([
      { region: B },
    ]);
  });

  it('rescues to the fenced old source when the target died before its promotion', () => {
    const base = withNodes('fenced(A)', [
      nodeSeen(`orders-db-${A}`, A, 'fenced'),
      nodeSeen(`orders-db-${B}`, B, 'unreachable'),
    ]);
    const plan = compilePlan({ ...base, request: { ...base.request, to: A, mode: 'unplanned' } });
    expect(plan).toMatchObject({ from: B, to: A, pointOfNoReturn: 'promote:orders-db' });
    expect(plan.facts.blockers).toEqual([]);
    expect(plan.facts.warnings.map((one) => one.code)).toContain('promotesFenced');
    expect(plan.facts.classified).toMatchObject({ state: 'sourceLost', region: B });
  });

  it('resumes at the fence while a store of the source is still writable', () => {
    const base = withSessions(row('fenced(A)'), [
      nodeSeen(SESSIONS_A, A, 'writable'),
      replicaOf(SESSIONS_B, B, SESSIONS_A),
    ]);
    const plan = compilePlan(base);
    expect(plan).toMatchObject({ resumeAt: 'fence' });
    expect(plan.pastPointOfNoReturn).toBeUndefined();
    const fences = plan.stages.flatMap((stage) => stage.steps).filter((step) => step.verb === 'fence');
    expect(fences.map((step) => step.undo?.verb)).toEqual(['unfence', 'unfence']);
  });

  it('never unfences a store of a partly promoted set', () => {
    const plan = compilePlan(partly());
    expect(plan.stages.flatMap((stage) => stage.steps).some((step) => step.undo?.verb === 'unfence')).toBe(false);
  });

  it('resumes a ramp where it stands, with weights computed from its start', () => {
    const plan = compilePlan(row('midRamp(B)'));
    const weights = plan.stages.flatMap((stage) => stage.steps).filter((step) => step.id.startsWith('weight:'));
    expect(weights.map((step) => [step.id, step.input.weights])).toEqual([
      ['weight:edge@50', { [A]: 50, [B]: 50 }],
      ['weight:edge@100', { [A]: 0, [B]: 100 }],
    ]);
    expect(weights[0]?.undo?.input.weights).toEqual({ [A]: 75, [B]: 25 });
  });

  it('puts back what an earlier run saved, not what it left behind', () => {
    const base = row('midRamp(B)');
    const [a, b] = base.observations.stores['orders-db']!;
    const saved = { 'save:edge': { already: true, at: 1, summary: '', facts: { ttl: 300 } } };
    const nodes = [{ ...a!, journal: { ...a!.journal!, saved } }, b!];
    const plan = compilePlan({ ...base, observations: { ...base.observations, stores: { 'orders-db': nodes } } });
    const steps = plan.stages.flatMap((stage) => stage.steps);
    expect(steps.find((step) => step.id === 'settle:edge')).toMatchObject({ input: { saved: { ttl: 300 } } });
    expect(steps.find((step) => step.id === 'prepare:edge')?.undo?.input).toEqual({ saved: { ttl: 300 } });
    expect(steps.find((step) => step.id === 'settle:writer')?.needs).toEqual({ saved: 'save:writer' });
  });
});

describe('a failback after a failover that stands and never settled', () => {
  const saved = {
    'save:edge': { already: true, at: 1, summary: '', facts: { ttl: 300 } },
    [`save:shop@${A}`]: { already: true, at: 1, summary: '', facts: { state: 'active' } },
  };
  const undosOf = (move: object) => {
    const base = input(WORLDS['steady(B)']!(), { action: 'failover', to: A });
    const [a, b] = base.observations.stores['orders-db']!;
    const [seen] = WORLDS['promoted(B)']!().stores['orders-db']!;
    const journal = { ...seen!.journal!, saved: { ...saved, ...move } };
    const stores = { 'orders-db': [{ ...a!, journal }, b!] };
    const plan = compilePlan({ ...base, observations: { ...base.observations, stores } });
    const steps = plan.stages.flatMap((stage) => stage.steps);
    const undo = (id: string) => steps.find((step) => step.id === id)?.undo;
    return { edge: undo('prepare:edge')?.input, shop: undo(`scale:shop@${A}`) };
  };

  it('puts back the settings of routers as they were at first, and the apps as the failover left them', () => {
    const { edge, shop } = undosOf({ move: { from: A, to: B } });
    expect(edge).toEqual({ saved: { ttl: 300 } });
    expect(shop).toMatchObject({ input: {}, needs: { saved: `save:shop@${A}` } });
  });

  it('puts the apps back as well where the run before went the same way and got nowhere', () => {
    expect(undosOf({ move: { from: B, to: A } }).shop?.input).toEqual({ saved: { state: 'active' } });
  });
});

describe('a service whose apps write locally, after a run that is gone', () => {
  const id = `save:shop@${A}`;
  const saved = { [id]: { already: true, at: 1, summary: '', facts: { state: 'active' } }, move: { from: A, to: B } };
  const stepsOf = (world: string, request: Partial<CompileInput['request']>, change: object = {}) => {
    const base = input(WORLDS[world]!(), request, { writes: 'local' });
    const [a, b] = base.observations.stores['orders-db']!;
    const journal = { ...WORLDS['fenced(A)']!().stores['orders-db']![0]!.journal!, saved, ...change };
    const observations = { ...base.observations, stores: { 'orders-db': [{ ...a!, journal }, b!] } };
    return compilePlan({ ...base, observations }).stages.flatMap((stage) => stage.steps);
  };
  const step = (steps: ReturnType<typeof stepsOf>, wanted: string) => steps.find((one) => one.id === wanted);

  it.each(['planned', 'unplanned'] as const)('fenced, %s: its writers are stopped again, for the way back', (mode) => {
    const quiesce = step(stepsOf('fenced(A)', { mode }), `quiesce:shop@${A}`);
    expect(quiesce?.undo).toMatchObject({ verb: 'restoreWorkload', input: { saved: { state: 'active' } } });
  });

  it('fenced by a run that read nothing: they were serving', () => {
    const quiesce = step(stepsOf('fenced(A)', { mode: 'unplanned' }, { saved: {} }), `quiesce:shop@${A}`);
    expect(quiesce?.undo).toMatchObject({ verb: 'scaleWorkload' });
  });

  it('fenced, with no way back left: nothing to stop', () => {
    expect(step(stepsOf('promoted(B)', {}), `quiesce:shop@${A}`)).toBeUndefined();
  });

  it.each([
    ['reprotect', { action: 'reprotect' as const, to: A }],
    ['failover to the side that still writes', { to: A }],
  ])('not fenced: a %s puts its app back and claims for no other move', (_, request) => {
    const steps = stepsOf('steady(A)', request);
    expect(step(steps, `settle:shop@${A}`)).toMatchObject({
      verb: 'restoreWorkload',
      input: { saved: { state: 'active' } },
    });
    expect(step(steps, `claim:orders-db@${A}`)?.input).toMatchObject({ move: { from: A, to: B } });
  });

  it('a run that makes the move after all is about its own', () => {
    const steps = stepsOf('steady(A)', {});
    expect(step(steps, `claim:orders-db@${A}`)?.input).not.toHaveProperty('move');
    expect(step(steps, `settle:shop@${A}`)?.verb).toBe('quiesceWorkload');
  });

  it('a reprotect after a move that stands leaves the apps as they are', () => {
    const steps = stepsOf('unsettled(B)', { action: 'reprotect', to: B });
    expect(steps.filter(({ verb }) => verb === 'restoreWorkload')).toEqual([]);
  });
});

describe('other actions', () => {
  const failback = (name: string) => {
    const base = input(WORLDS[name]!(), { action: 'failback' });
    const { to: _to, ...request } = base.request;
    return compilePlan({ ...base, request });
  };

  it('failback goes home when home is a replica', () => {
    expect(failback('steady(B)')).toMatchObject({ from: B, to: A, nothingToDo: null, facts: { blockers: [] } });
    expect(failback('steady(A)').nothingToDo).toContain('Nothing to do');
  });

  it('failback refuses with the exact command while home is no replica', () => {
    const blockers = failback('unsettled(B)').facts.blockers;
    expect(blockers).toMatchObject([{ code: 'notReplica' }]);
    expect(blockers[0]?.remedy).toContain('rampart reprotect checkout');
  });

  const reprotect = (name: string) => {
    const base = input(WORLDS[name]!(), { action: 'reprotect' });
    const { to: _to, ...request } = base.request;
    return compilePlan({ ...base, request });
  };

  it('reprotect follows first and rebuilds only behind its gate', () => {
    const plan = reprotect('unsettled(B)');
    expect(plan).toMatchObject({ from: A, to: B, pointOfNoReturn: null });
    expect(plan.facts.blockers).toEqual([]);
    expect(plan.stages.map((stage) => [stage.name, stage.gate?.name])).toEqual([
      ['preflight', undefined],
      ['prepare', 'cutover'],
      ['reprotect', undefined],
      ['reprotect', 'rebuild'],
      ['settle', undefined],
    ]);
    // What never arrived is read before anything is started there.
    expect(plan.stages[2]?.steps.filter((step) => step.region === A)).toMatchObject([
      { id: `leftBehind:orders-db@${A}`, effect: 'none', onFailure: 'continue' },
      { id: `rejoin:orders-db@${A}`, after: [`leftBehind:orders-db@${A}`] },
    ]);
    expect(plan.stages[3]?.steps).toMatchObject([
      {
        id: `rebuild:orders-db@${A}`,
        effect: 'irreversible',
        onlyIf: { step: `rejoin:orders-db@${A}`, fact: 'needs', equals: 'rebuild' },
      },
    ]);
  });

  it('reprotect has nothing to do where everything follows, and refuses where nothing is writable', () => {
    expect(reprotect('steady(A)').nothingToDo).toContain('Nothing to do');
    expect(reprotect('fenced(A)').facts.blockers.map((one) => one.code)).toContain('notPrimary');
    expect(reprotect('twoWritable').facts.blockers.map((one) => one.code)).toContain('splitBrain');
  });

  it('traffic ramp moves a share and leaves the data alone', () => {
    const plan = compilePlan(input(WORLDS['steady(A)']!(), { action: 'trafficRamp', percent: 30 }));
    expect(plan.facts.blockers).toEqual([]);
    expect(plan.stages.map((stage) => stage.name)).toEqual(['preflight', 'prepare', 'ramp', 'settle']);
    const weights = plan.stages.flatMap((stage) => stage.steps).filter((step) => step.verb === 'setWeights');
    expect(weights.map((step) => step.input.weights)).toEqual([
      { [A]: 90, [B]: 10 },
      { [A]: 75, [B]: 25 },
      { [A]: 70, [B]: 30 },
    ]);
    expect(plan.pointOfNoReturn).toBeNull();
  });

  it('traffic ramp refuses where the app writes in one region at a time', () => {
    const plan = compilePlan(input(WORLDS['steady(A)']!(), { action: 'trafficRamp' }, { writes: 'local' }));
    expect(plan.facts.blockers.map((one) => one.code)).toEqual(['writesLocal']);
  });
});

/** A row with other readings of the store. */
function withNodes(name: string, nodes: CompileInput['observations']['stores'][string]): CompileInput {
  const base = row(name);
  return { ...base, observations: { ...base.observations, stores: { 'orders-db': nodes } } };
}

it('verifies beside the route, and before it where the team has steps in between', () => {
  const cut = (steps: OwnStep[]) =>
    compilePlan(input(WORLDS['steady(A)']!(), {}, { steps }))
      .stages.filter((stage) => ['verify', 'route'].includes(stage.name))
      .map((stage) => [stage.name, stage.steps.map((step) => step.id)]);
  const own: OwnStep = {
    name: 'warm-cache',
    stage: 'verify',
    summary: 'Warm the cache',
    kind: 'command',
    at: 'to',
    config: { command: ['true'] },
    effect: 'none',
    deadlineMs: 5_000,
    onFailure: 'hold',
    actions: [],
  };
  expect(cut([])).toEqual([['route', ['verify:orders-db', 'route:writer']]]);
  expect(cut([own])).toEqual([
    ['verify', ['verify:orders-db', 'own:warm-cache']],
    ['route', ['route:writer']],
  ]);
});

it('shows every candidate and the better one', () => {
  const base = row('sourceLost(A)');
  const third = 'eu-north';
  const orders = base.components['orders-db']!;
  const more = replicaOf('orders-db-eu-north', third, `orders-db-${A}`, { received: position(0x3054458 + 4096) });
  const node = { ...orders.sides[B]!.nodes[0]!, name: 'orders-db-eu-north', queue: 'rampart.eu-north' };
  const plan = compilePlan({
    ...base,
    request: { ...base.request, mode: 'unplanned' },
    service: { ...base.service, standby: [B, third] },
    components: {
      ...base.components,
      'orders-db': { ...orders, sides: { ...orders.sides, [third]: { region: third, nodes: [node] } } },
    },
    observations: {
      ...base.observations,
      stores: { 'orders-db': [...base.observations.stores['orders-db']!, more] },
    },
  });
  expect(plan.facts.positions['orders-db']?.map((one) => one.region)).toEqual([B, A, third]);
  expect(plan.facts.warnings.find((one) => one.code === 'betterCandidate')?.message).toContain('eu-north');
  expect(plan.facts.asks?.some((text) => text.includes('holds more'))).toBe(true);
});
