/** The other words people have: pause, resume, skip, retry, withdraw; and everything they may get wrong. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { checkout } from '../../plan/world.ts';
import { encodeAll, type Payload } from '../sdk.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';
import { A, B, type Script } from './world/world.ts';

let run: EngineRun;
afterEach(() => run?.dispose());

const refuse: Script = () => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};

async function approved(options: RunOptions = {}): Promise<EngineRun> {
  run = await startRun(options);
  await run.approve();
  return run;
}

describe('pause and resume', () => {
  it('stops before the next stage, for as long as it takes', async () => {
    await approved();
    await run.until('converge:orders-db');
    expect((await run.send('pause', { by: 'bob', reason: 'a graph' })).text).toBe('pausing before the next stage');
    await run.harness.advance(5 * 3_600_000);
    expect(run.model.attempts).not.toContain(`fence:orders-db@${A}`);
    expect((await run.status()).paused).toMatchObject({ by: 'bob' });
    await expect(run.send('pause')).rejects.toThrow('already paused by bob');
    await run.send('resume');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.waitedForPeopleMs).toBeGreaterThan(4 * 3_600_000);
  });

  it('stops between two weights of a ramp', async () => {
    await approved();
    await run.until('bake@10');
    await run.send('pause');
    await run.harness.advance(3_600_000);
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 90, [B]: 10 });
    await run.send('resume');
    expect((await run.end()).outcome).toBe('completed');
  });

  it('does not keep an abort from working', async () => {
    await approved();
    await run.until('converge:orders-db');
    await run.send('pause');
    await run.harness.advance(60_000);
    await run.send('abort');
    expect((await run.end()).outcome).toBe('rolledBack');
  });

  it('cannot resume what is not paused', async () => {
    run = await startRun();
    await run.gate();
    await expect(run.send('resume')).rejects.toThrow('the run is not paused');
  });
});

describe('skip and retry', () => {
  it('skips a failed step with a reason, which the record keeps', async () => {
    await approved({ before: (model) => model.on(`drain:shop@${A}`, refuse, 99) });
    const { choices } = await run.holding();
    expect(choices).toContain('skip');
    await expect(run.send('skip', { by: 'bob', step: `drain:shop@${A}` })).rejects.toThrow('"reason" must say why');
    await expect(run.send('skip', { by: 'bob', step: 'settle:edge', reason: 'x' })).rejects.toThrow(
      `settle:edge is not a failed step; failed: drain:shop@${A}`,
    );
    await run.send('skip', { by: 'bob', step: `drain:shop@${A}`, reason: 'its host is gone' });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.steps.find(({ id }) => id === `drain:shop@${A}`)?.state).toBe('skipped');
    expect(record.log.map(({ text }) => text)).toContain(`drain:shop@${A} skipped by bob: its host is gone`);
  });

  it.each([`fence:orders-db@${A}`, 'catchUp:orders-db', 'promote:orders-db', 'verify:orders-db', 'route:writer'])(
    'never skips %s',
    async (step) => {
      await approved({ before: (model) => model.on('route:writer', refuse, 99) });
      const { choices } = await run.holding();
      expect(choices).not.toContain('skip');
      await expect(run.send('skip', { by: 'bob', step, reason: 'hurry' })).rejects.toThrow(
        /can never be skipped: .* is what keeps the data safe; retry, abort or escalate/,
      );
    },
  );

  it.each([`readClaim:orders-db@${A}`, `claim:orders-db@${A}`, `claim:orders-db@${B}`])(
    'never skips %s: without it every later step there would be refused',
    async (step) => {
      const service = { onFailure: { planned: 'hold', unplanned: 'hold' } as const };
      await approved({ world: { service }, before: (model) => model.on(step, refuse) });
      const { choices } = await run.holding();
      expect(choices).toEqual(['retry', 'abort', 'escalate']);
      const skip = { by: 'bob', step, reason: 'its worker is slow' };
      const says = /can never be skipped: a side that this run has not claimed .* retry .* abort .* escalate/;
      await expect(run.send('skip', skip)).rejects.toThrow(says);
      await run.workflow.signal('skip', skip);
      await run.harness.advance(60_000);
      expect((await run.status()).holding?.choices).toEqual(choices);
      expect((await run.record()).messages.at(-1)).toMatchObject({ applied: false, note: expect.stringMatching(says) });
      await run.send('retry');
      expect((await run.end()).outcome).toBe('completed');
      expect(run.model.attempts.filter((id) => id === `fence:orders-db@${A}`)).toHaveLength(1);
    },
  );

  it('has nothing to skip or retry while nothing has failed', async () => {
    run = await startRun();
    await run.gate();
    await expect(run.send('retry')).rejects.toThrow('nothing has failed: there is nothing to retry');
    await expect(run.send('skip', { by: 'bob', step: 'settle:edge', reason: 'x' })).rejects.toThrow(
      'nothing has failed: there is nothing to skip',
    );
  });

  it('retries as often as it is told to', async () => {
    await approved({ before: (model) => model.on('settle:edge', refuse, 3) });
    for (let i = 0; i < 3; i++) {
      await run.holding();
      await run.send('retry');
    }
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('withdraw', () => {
  it('ends a run that has done nothing yet', async () => {
    run = await startRun();
    await run.gate();
    expect((await run.send('withdraw', { by: 'bob', reason: 'replaced' })).text).toBe('withdrawing');
    const record = await run.end();
    expect(record).toMatchObject({ outcome: 'withdrawn', text: expect.stringContaining('withdraw by bob: replaced') });
    expect(run.model.log).toEqual([]);
  });

  it('closes the workflow as canceled', async () => {
    run = await startRun();
    await run.gate();
    await run.send('withdraw', { by: 'bob' });
    await run.end();
    expect(run.workflow.outcome?.status).toBe('canceled');
  });

  it('is refused once a gate is decided or a step has an effect', async () => {
    await approved();
    await run.until('save:writer');
    await expect(run.send('withdraw')).rejects.toThrow('it is too late to withdraw');
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('malformed messages never wedge a run', () => {
  const nonsense: unknown[] = [
    ...[undefined, null, true, 42, -1.5, '', 'approve', '{', '{"by":"bob"', [], [[]], [1, 2], {}, { by: null }],
    ...[{ by: '' }, { by: 42 }, { by: {} }, { by: 'bob', extra: 1 }, { by: 'bob', gate: 7 }, { by: 'bob', to: [] }],
    ...[
      { by: 'bob', decision: 'maybe' },
      { by: 'bob', maxLoss: 'little' },
      { by: 'bob', maxLoss: { seconds: -1 } },
    ],
    ...[
      { by: 'bob', override: [1] },
      { by: 'bob', step: {} },
      { __proto__: { by: 'bob' } },
      { by: 'x'.repeat(100_000) },
    ],
    ...[
      JSON.parse('{"__proto__":{"by":"eve"}}'),
      { by: 'bob', constructor: 1 },
      { toString: 1 },
      new Uint8Array([0, 255]),
    ],
  ];
  const verbs = ['decide', 'approve', 'reject', 'pause', 'resume', 'skip', 'retry', 'abort', 'escalate', 'withdraw'];

  it('as signals of every verb, at every moment', async () => {
    await approved({ request: { service: 'checkout', to: B }, harness: {} });
    for (const step of ['converge:orders-db', 'bake@25']) {
      await run.until(step);
      for (const verb of verbs) {
        for (const input of nonsense) {
          // What is well-formed by accident would do what it says.
          if (['pause', 'abort', 'escalate'].includes(verb) && (input as { by?: unknown } | null)?.by) continue;
          await run.workflow.signal(verb, ...(input === undefined ? [] : [input]));
        }
      }
    }
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.messages.every(({ applied }) => !applied)).toBe(true);
    expect(record.messages.length).toBeLessThanOrEqual(200);
  });

  it('as updates: refused with what would be right', async () => {
    run = await startRun();
    await run.gate();
    for (const verb of verbs) {
      await expect(run.send(verb, null)).rejects.toThrow(/takes one JSON object. Example: \{"/);
      await expect(run.send(verb, 'nonsense')).rejects.toThrow(/takes one JSON object/);
      await expect(run.send(verb, { by: 42 })).rejects.toThrow(/"by" must say who you are/);
      await expect(run.send(verb, { by: 'bob', nope: 1 })).rejects.toThrow(/unknown field "nope"; it takes/);
    }
    await expect(run.workflow.update('explode', {})).rejects.toThrow('No registered handler for update: explode');
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
  });

  it('as signals nobody knows, with several arguments or none', async () => {
    run = await startRun();
    await run.gate();
    await run.workflow.signal('explode', { by: 'bob' });
    await run.workflow.signal('approve', { by: 'bob' }, 'and', 'more');
    await run.workflow.signal('toString');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.messages.find(({ verb }) => verb === 'explode')?.note).toContain('there is no message "explode"');
  });

  it('as one JSON text, or a list with one element: understood', async () => {
    run = await startRun();
    await run.gate();
    await run.workflow.signal('approve', '{"by":"bob"}');
    expect((await run.end()).outcome).toBe('completed');
    await run.dispose();
    run = await startRun();
    await run.gate();
    await run.workflow.signalRaw('approve', encodeAll([[{ by: 'bob' }]]));
    expect((await run.end()).outcome).toBe('completed');
  });

  it('in bytes nobody can decode', async () => {
    const text = (value: string) => new TextEncoder().encode(value);
    const broken: Payload[] = [
      { metadata: { encoding: text('json/plain') }, data: text('{"by":') },
      { metadata: { encoding: text('binary/encrypted') }, data: text('x') },
      { metadata: {}, data: text('x') },
    ];
    run = await startRun();
    await run.gate();
    for (const payload of broken) await run.workflow.signalRaw('approve', [payload]);
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.messages.filter(({ applied }) => !applied)).toHaveLength(broken.length);
    expect(record.messages[0]!.note).toMatch(/takes one JSON object. Example: \{"/);
  });

  it('before the first look and after the end', async () => {
    run = await startRun();
    await run.workflow.signal('approve', 'too early');
    await run.workflow.signal('approve', { by: 'bob' });
    await run.approve();
    const record = await run.end();
    expect(record.messages.filter(({ applied }) => !applied)).toHaveLength(2);
    expect((await run.status()).phase).toBe('closed');
  });

  it('shows an example in the description of every handler', async () => {
    run = await startRun();
    const { definition } = (await run.workflow.query('__temporal_workflow_metadata')) as {
      definition: Record<string, Array<{ name: string; description?: string }>>;
    };
    for (const kind of ['signalDefinitions', 'updateDefinitions']) {
      const described = new Map(definition[kind]?.map(({ name, description }) => [name, description]));
      for (const verb of verbs) expect(described.get(verb), `${kind} ${verb}`).toMatch(/Input: \{"/);
    }
  });
});

describe('requests', () => {
  const wrong: Array<[string, unknown, RegExp]> = [
    ['no object', 42, /the input must be one JSON object, for example \{"service":"checkout","to":"eu-central"\}/],
    ['nothing at all', undefined, /the input must be one JSON object/],
    ['an unknown service', { service: 'chekout', to: B }, /unknown service "chekout", did you mean "checkout"\?/],
    ['an unknown region', { service: 'checkout', to: 'eu-centrl' }, /unknown region for "to" "eu-centrl"/],
    ['an unknown field', { service: 'checkout', to: B, form: A }, /unknown field "form", did you mean "from"\?/],
    ['the same region twice', { service: 'checkout', from: B, to: B }, /"from" and "to" are both eu-central/],
    ['a bad mode', { service: 'checkout', to: B, mode: 'fast' }, /"mode"/],
    ['a falling ramp', { service: 'checkout', to: B, ramp: [50, 25] }, /"ramp" must rise/],
  ];
  it.each(wrong)('with %s fail at once and say what is wrong', async (_name, request, text) => {
    run = await startRun({ request: request ?? null });
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'InvalidInput' } });
    expect(record.text).toMatch(text);
    expect(run.model.log).toEqual([]);
  });

  it('under a wrong workflow id fail at once and name the right one', async () => {
    run = await startRun({ workflowId: '6f1c0d5e-random' });
    const record = await run.end();
    expect(record.text).toContain('the workflow ID must be "failover/checkout"');
    expect(record.text).toContain('workflowId=failover%2Fcheckout');
    expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'InvalidInput' } });
  });

  it('of a group hold the lock of the group', async () => {
    run = await startRun({ workflowId: 'failover/shop', world: { service: { group: 'shop' } } });
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
  });

  it('of a group move what all of its services are made of', async () => {
    // The database is the other one's: it must not stay behind with a writer that leads to it, or the other way round.
    const [own, others] = [
      ['shop', 'edge'],
      ['orders-db', 'writer'],
    ];
    expect([...own, ...others].sort()).toEqual([...checkout.components].sort());
    run = await startRun({
      workflowId: 'failover/shop',
      world: { service: { group: 'shop', components: own } },
      before: ({ topology }) => {
        topology.services.billing = { ...checkout, name: 'billing', group: 'shop', components: others, checks: [] };
      },
    });
    await run.approve();
    const record = await run.end();
    expect(record).toMatchObject({ outcome: 'completed', movesWith: ['billing'] });
    expect(run.model.database().server(B)).toMatchObject({ role: 'primary' });
    for (const router of ['writer', 'edge'])
      expect(run.model.traffic.observeRouter(router).weights).toEqual({ [A]: 0, [B]: 100 });
  });

  it('with the digest of another plan are refused', async () => {
    run = await startRun({ request: { service: 'checkout', to: B, digest: 'f'.repeat(64) } });
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(record.text).toContain('look at it again with `rampart plan`');
  });

  it('with the digest of this plan are taken', async () => {
    run = await startRun();
    const { planDigest } = await run.gate().then(() => run.status());
    await run.dispose();
    run = await startRun({ request: { service: 'checkout', to: B, by: 'ann', digest: planDigest } });
    expect((await run.gate()).id).toBe('cutover.1');
    expect(checkout.name).toBe('checkout');
  });
});

describe('a target that cannot be read', () => {
  it('holds, names what is missing, and goes on when told that it is back', async () => {
    run = await startRun({
      before: (model, harness) => {
        model.lose(B);
        harness.removeWorkers(`rampart.${B}`);
      },
    });
    const { reason } = await run.holding();
    expect(reason).toContain(`orders-db-${B}`);
    run.model.database().server(B).reachable = true;
    run.model.traffic.workload('shop', B).reachable = true;
    run.harness.addWorkers(`rampart.${B}`);
    await run.send('retry');
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
  });
});
