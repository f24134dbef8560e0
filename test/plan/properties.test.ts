/** What holds for every plan of every service in every state. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Weights } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import { digestOf } from '../../plan/digest.ts';
import { assess } from '../../plan/facts.ts';
import { type CompileInput, FROZEN, type Plan, STAGES, type Stage, type Step } from '../../plan/model.ts';
import { renderPlan } from '../../plan/render.ts';
import { FRESHNESS_MS } from '../../plan/sides.ts';
import { inputs } from './arbitrary.ts';

/** Raised by hand when the compiler changes: `RAMPART_PROPERTY_RUNS=5000 npx vitest run test/plan`. */
const RUNS = Number(process.env.RAMPART_PROPERTY_RUNS ?? 150);
const check = (property: (plan: Plan, input: CompileInput) => void) =>
  fc.assert(
    fc.property(inputs, (input) => property(compilePlan(input), input)),
    { numRuns: RUNS, reporter: report },
  );

/** The cause and how to get there again; the shrunk input only in short, since a whole one fills pages. */
function report(run: fc.RunDetails<[CompileInput]>): void {
  if (!run.failed) return;
  const input = run.counterexample?.[0];
  const cause = (run.errorInstance as Error | null)?.stack ?? '';
  const nodes = Object.values(input?.observations.stores ?? {}).flat();
  const world = nodes.map((node) => `${node.node}:${node.state}`).join(' ');
  const routers = JSON.stringify(input && Object.entries(input.observations.routers).map(([k, v]) => [k, v.weights]));
  const own = JSON.stringify(input?.service.steps.map((one) => [one.stage, one.effect, one.at]));
  const request = JSON.stringify(input?.request);
  throw new Error(
    `seed ${run.seed}, path ${run.counterexamplePath}\n${request}\n${world}\n${routers}\n${own}\n${cause}`,
  );
}

const stepsOf = (plan: Plan): Step[] => plan.stages.flatMap((stage) => stage.steps);
const index = (plan: Plan, id: string) => stepsOf(plan).findIndex((step) => step.id === id);
const stageOf = (plan: Plan, step: Step): Stage => plan.stages.find((stage) => stage.steps.includes(step))!;
/** Steps that are scheduled before the first promotion. Without one: all of them. */
const beforeCrossing = (plan: Plan): Step[] => {
  if (plan.pastPointOfNoReturn) return [];
  const crossing = plan.stages.findIndex((stage) => stage.steps.some((step) => step.id === plan.pointOfNoReturn));
  return (crossing === -1 ? plan.stages : plan.stages.slice(0, crossing)).flatMap((stage) => stage.steps);
};

describe('every plan', () => {
  it('exists, has nothing to do, or says what blocks it', () => {
    check((plan) => {
      const answers = plan.stages.length > 0 || plan.nothingToDo !== null || plan.facts.blockers.length > 0;
      expect(answers).toBe(true);
      if (plan.nothingToDo !== null) expect(plan.stages).toEqual([]);
      for (const one of [...plan.facts.blockers, ...plan.facts.warnings]) {
        expect(one.message).not.toBe('');
        expect(one.remedy).not.toBe('');
        expect(`${one.message}${one.remedy}`).not.toMatch(/undefined|\[object|NaN/);
      }
    });
  });

  it('can be read on a terminal', () => {
    check((plan) => {
      const text = renderPlan(plan, { width: 80 });
      expect(text).not.toMatch(/undefined|\[object|NaN/);
      const words = text.split('\n').filter((line) => line.length > 80 && /\S {1,2}\S/.test(line.trim()));
      // Only a line whose parts cannot be broken (an id, a command) may be longer.
      expect(words.filter((line) => line.trim().split(/\s+/).length > 3)).toEqual([]);
    });
  });

  it('goes through its stages in their order', () => {
    check((plan) => {
      const order = plan.stages.map((stage) => STAGES.indexOf(stage.name));
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(plan.stages.every((stage) => stage.steps.length > 0)).toBe(true);
    });
  });

  it('changes nothing before the first gate', () => {
    check((plan) => {
      const gate = plan.stages.findIndex((stage) => stage.gate !== undefined);
      const acting = plan.stages.findIndex((stage) => stage.steps.some((step) => step.effect !== 'none'));
      if (acting !== -1) {
        expect(gate).toBe(acting);
        expect(plan.stages[gate]?.gate?.kind).toBe('always');
      }
    });
  });

  it('names every step once, and refers only to steps that come earlier', () => {
    check((plan) => {
      const ids = stepsOf(plan).map((step) => step.id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const stage of plan.stages) {
        for (const [at, step] of stage.steps.entries()) {
          for (const id of step.after ?? []) {
            const there = stage.steps.findIndex((other) => other.id === id);
            expect(there, `${step.id} after ${id}`).toBeGreaterThanOrEqual(0);
            expect(there, `${step.id} after ${id}`).toBeLessThan(at);
          }
          for (const id of [...Object.values(step.needs ?? {}), ...(step.onlyIf ? [step.onlyIf.step] : [])]) {
            expectEarlier(plan, step, id);
          }
          for (const id of Object.values(step.undo?.needs ?? {})) expectEarlier(plan, step, id);
        }
      }
    });
  });

  it('claims before it changes anything', () => {
    check((plan) => {
      const claims = stepsOf(plan).filter((step) => step.verb === 'claim');
      for (const step of stepsOf(plan)) {
        if (step.effect === 'none' || step.verb === 'claim' || claims.length === 0) continue;
        const stage = stageOf(plan, step);
        if (stage.name !== 'prepare') {
          expect(STAGES.indexOf(stage.name)).toBeGreaterThan(STAGES.indexOf('prepare'));
        } else {
          for (const claim of claims) expect(step.after, step.id).toContain(claim.id);
        }
      }
      const stores = Object.values(plan.components).filter((one) => one.role === 'store');
      if (plan.stages.length > 0) expect(claims.length >= stores.length).toBe(true);
    });
  });

  it('can undo every reversible step while there is a way back', () => {
    check((plan) => {
      for (const step of beforeCrossing(plan)) {
        const stage = stageOf(plan, step).name;
        // Settling puts things back: it is an undo itself. A rejoin is repaired by the next reprotect.
        if (step.effect !== 'reversible' || stage === 'settle' || stage === 'reprotect') continue;
        if (step.verb === 'setWeights' && stage === 'route' && plan.facts.weights[step.component!] === null) continue;
        expect(step.undo, step.id).toBeDefined();
      }
    });
  });

  it('takes no irreversible step on a store before its promotion', () => {
    check((plan) => {
      for (const step of beforeCrossing(plan)) {
        if (step.component === null || stageOf(plan, step).name === 'reprotect') continue;
        expect(step.effect, step.id).not.toBe('irreversible');
      }
    });
  });

  it('has no undo of data or endpoints from the promotion on', () => {
    check((plan) => {
      const crossed = plan.pastPointOfNoReturn === true;
      const promoted = plan.stages.findIndex((stage) => stage.steps.some((step) => step.verb === 'promote'));
      for (const [at, stage] of plan.stages.entries()) {
        if (!crossed && (promoted === -1 || at < promoted)) continue;
        for (const step of stage.steps) {
          if (['fence', 'route', 'quiesce', 'promote', 'verify'].includes(stage.name) && step.component !== null) {
            expect(step.undo, step.id).toBeUndefined();
          }
        }
      }
    });
  });

  it('promotes a staged store only after every fence and catch-up of the staged stores', () => {
    check((plan) => {
      const steps = stepsOf(plan);
      const first = steps.findIndex((step) => step.verb === 'promote');
      if (first === -1) return;
      const last = steps.findLastIndex((step) => ['fence', 'awaitCatchUp'].includes(step.verb));
      expect(last).toBeLessThan(first);
      for (const step of steps.filter((one) => one.verb === 'promote')) {
        expect(step.attempts).toBe(1);
        expect(steps.some((one) => one.id === step.needs?.catchUp)).toBe(true);
        const proofs = Object.entries(step.needs ?? {}).filter(([name]) => name.startsWith('proof'));
        const fences = Object.entries(step.needs ?? {}).filter(([name]) => name.startsWith('fence'));
        expect(proofs.length).toBeGreaterThan(0);
        expect(fences.length).toBe(proofs.length);
      }
      expect(plan.stages.find((stage) => stage.name === 'promote')?.gate?.kind).toBe('conditional');
    });
  });

  it('fences every node of the side it leaves', () => {
    check((plan) => {
      for (const step of stepsOf(plan).filter((one) => one.verb === 'promote')) {
        const side = plan.components[step.component!]!.sides[plan.from!]!;
        const fenced = stepsOf(plan)
          .filter((one) => one.verb === 'fence' && one.component === step.component)
          .flatMap((one) => one.nodes ?? side.nodes.map((node) => node.name));
        expect(new Set(fenced)).toEqual(new Set(side.nodes.map((node) => node.name)));
      }
    });
  });

  it('promotes no store that is seen to accept writes at a side the plan does not leave', () => {
    check((plan, input) => {
      if (plan.facts.blockers.length > 0) return;
      for (const { component } of stepsOf(plan).filter((one) => ['promote', 'switchover'].includes(one.verb))) {
        const nodes = input.observations.stores[component!]!;
        const writing = nodes.filter((node) => node.state === 'writable' && fresh(input, node));
        expect(writing.map((node) => node.region).filter((region) => region !== plan.from)).toEqual([]);
      }
    });
  });

  it('leaves the one side that is not in recovery, unless what the target follows or a person says otherwise', () => {
    check((plan, input) => {
      if (plan.facts.blockers.length > 0) return;
      const told = ['sample', 'request'].includes(plan.fromSource) && (plan.facts.asks ?? []).length > 0;
      for (const { component } of stepsOf(plan).filter((one) => one.verb === 'promote')) {
        const nodes = input.observations.stores[component!]!;
        const elsewhere = nodes.filter((node) => node.region !== plan.to);
        const open = elsewhere.filter((node) => node.state !== 'replica' || !fresh(input, node));
        const sides = new Set(open.map((node) => node.region));
        const upstreams = nodes
          .filter((node) => node.region === plan.to && node.state === 'replica')
          .map((node) => nodes.find((one) => one.node === node.upstream?.node)?.region);
        if (sides.size === 1 && !told && !upstreams.includes(plan.from!)) expect([...sides]).toEqual([plan.from]);
      }
    });
  });

  it('knows its point of no return', () => {
    check((plan) => {
      const first = stepsOf(plan).find((step) => step.verb === 'promote' || step.verb === 'switchover');
      expect(plan.pointOfNoReturn).toBe(first?.id ?? null);
      if (['trafficRamp', 'reprotect'].includes(plan.request.action)) expect(plan.pointOfNoReturn).toBeNull();
    });
  });

  it('has its frozen stages in one piece', () => {
    check((plan) => {
      const frozen = plan.stages.map((stage) => FROZEN.includes(stage.name));
      const from = frozen.indexOf(true);
      if (from === -1) return;
      expect(frozen.slice(from, frozen.lastIndexOf(true) + 1).every(Boolean)).toBe(true);
    });
  });

  it('keeps everything before the promotion within the freeze budget in a planned run', () => {
    check((plan) => {
      if (plan.mode !== 'planned') return;
      for (const step of beforeCrossing(plan)) {
        if (!FROZEN.includes(stageOf(plan, step).name) || step.verb.startsWith('own')) continue;
        expect(step.timeoutMs, step.id).toBeLessThanOrEqual(plan.policy.freezeBudgetMs);
      }
    });
  });

  it('never sends traffic nowhere, and only ever towards the target', () => {
    check((plan) => {
      const last = new Map<string, number>();
      for (const step of stepsOf(plan).filter((one) => one.verb === 'setWeights')) {
        const weights = step.input.weights as Weights;
        const total = Object.values(weights).reduce((a, b) => a + b, 0);
        expect(total, step.id).toBe(100);
        expect(Object.values(weights).every((weight) => Number.isInteger(weight) && weight >= 0)).toBe(true);
        const before = last.get(step.component!) ?? plan.facts.weights[step.component!]?.[plan.to] ?? 0;
        expect(weights[plan.to], step.id).toBeGreaterThanOrEqual(before);
        last.set(step.component!, weights[plan.to]!);
      }
    });
  });

  it('leaves the shares of other regions untouched in a ramp', () => {
    check((plan) => {
      for (const step of stepsOf(plan).filter((one) => one.id.startsWith('weight:'))) {
        const before = plan.facts.weights[step.component!];
        if (before === null || before === undefined) continue;
        for (const [region, weight] of Object.entries(step.input.weights as Weights)) {
          if (region !== plan.from && region !== plan.to) expect(weight, step.id).toBe(before[region] ?? 0);
        }
      }
    });
  });

  it('bakes after every weight, the last one included, before the next', () => {
    check((plan) => {
      const steps = stepsOf(plan);
      const shares = [
        ...new Set(steps.filter((one) => one.id.startsWith('weight:')).map((one) => Number(one.input.percent))),
      ];
      for (const [at, percent] of shares.entries()) {
        const bake = steps.find((one) => one.id === `bake@${percent}`);
        expect(bake).toBeDefined();
        const next = steps.filter((one) => one.id.startsWith('weight:') && one.input.percent === shares[at + 1]);
        for (const one of next) expect(one.after).toEqual([bake!.id]);
      }
    });
  });

  it('keeps its digest when only measurements change', () => {
    check((plan, input) => {
      expect(digestOf(plan)).toBe(plan.digest);
      const later = compilePlan(measuredLater(input));
      if (later.facts.classified.state !== plan.facts.classified.state) return;
      expect(later.digest).toBe(plan.digest);
      expect(compilePlan(reversedKeys(input)).digest).toBe(plan.digest);
    });
  });

  it('changes its digest with the topology, not with who asks or why', () => {
    check((plan, input) => {
      expect(compilePlan({ ...input, topologyDigest: 'b'.repeat(64) }).digest).not.toBe(plan.digest);
      const asked = { ...input.request, by: 'somebody', reason: 'because' };
      expect(compilePlan({ ...input, request: asked }).digest).toBe(plan.digest);
      const accepted = { ...input.request, override: [...(input.request.override ?? []), 'weakFence'] };
      expect(compilePlan({ ...input, request: accepted }).digest).not.toBe(plan.digest);
    });
  });

  it('measures the same facts on its own and with the plan, and is pure', () => {
    check((plan, input) => {
      const frozen = JSON.stringify(input);
      expect(assess(input)).toEqual(plan.facts);
      expect(JSON.stringify(input)).toBe(frozen);
      expect(JSON.parse(JSON.stringify(plan))).toEqual(dropUndefined(plan));
    });
  });
});

const fresh = (input: CompileInput, node: { observedAt: number }) => input.now - node.observedAt <= FRESHNESS_MS;

/** An undo's or a step's need: a step of an earlier stage, or one that this step waits for. */
function expectEarlier(plan: Plan, step: Step, id: string): void {
  const there = index(plan, id);
  expect(there, `${step.id} needs ${id}`).toBeGreaterThanOrEqual(0);
  const other = stepsOf(plan)[there]!;
  const same = stageOf(plan, other) === stageOf(plan, step);
  if (same) expect(reaches(plan, step, id), `${step.id} waits for ${id}`).toBe(true);
  else expect(there).toBeLessThan(index(plan, step.id));
}

function reaches(plan: Plan, step: Step, id: string): boolean {
  return (step.after ?? []).some((one) => one === id || reaches(plan, stepsOf(plan)[index(plan, one)]!, id));
}

/** The same world a moment later: other lags, other ages, the log has moved on everywhere alike. */
function measuredLater(input: CompileInput): CompileInput {
  const stores = Object.fromEntries(
    Object.entries(input.observations.stores).map(([name, nodes]) => [
      name,
      nodes.map((node) => ({
        ...node,
        observedAt: node.observedAt + 1_000,
        position: node.position && { ...node.position, order: String(Number(node.position.order) + 100) },
        lag: node.lag && { ...node.lag, bytes: 7, measuredAt: node.lag.measuredAt + 1_000 },
        detail: node.detail,
      })),
    ]),
  );
  return { ...input, now: input.now + 1_000, observations: { ...input.observations, stores } };
}

function reversedKeys<T>(value: T): T {
  if (Array.isArray(value)) return value.map((one) => reversedKeys(one)) as T;
  if (typeof value !== 'object' || value === null) return value;
  // The order of regions and nodes is the topology's and means something; that of a map's keys does not.
  const keep = 'sides' in value;
  const entries = Object.entries(value).map(([key, one]) => [key, keep && key === 'sides' ? one : reversedKeys(one)]);
  return Object.fromEntries(entries.reverse()) as T;
}

function dropUndefined<T>(value: T): T {
  if (Array.isArray(value)) return value.map((one) => dropUndefined(one)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries.map(([key, one]) => [key, dropUndefined(one)])) as T;
}
