/**
 * A stale attempt of every verb of the store port, sent late: an attempt that was given up and wakes, an older run, a
 * run of another server. The list is exhaustive by its type, so that a verb the port gains needs a line here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RampartError } from '../../../drivers/errors.ts';
import type { FenceReceipt, Receipt, Store, Token } from '../../../drivers/ports.ts';
import { chooseKeptDir } from '../../../drivers/postgres/repair-state.ts';
import type { LocalNode } from '../../../drivers/postgres/server.ts';
import { readPostmaster, startPostgres } from '../../../lab/postgres/server.ts';
import { LIMIT, Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 60_000 });

/** How the pair stands when the stale attempt arrives: as before a run, fenced, fenced and started again, promoted. */
type Moment = 'steady' | 'fenced' | 'restarted' | 'promoted';
interface Case {
  /** Sends the verb, from the place where its worker is. */
  send(store: (region: string | null) => Store, proof: FenceReceipt | null): Promise<unknown>;
  /** Moments at which it would change something, were it not stale. */
  at: Moment[];
}
/** Reads only, or leaves nothing that any run could mind: no token is asked for. */
type Harmless = { harmless: string };

const everywhere: Moment[] = ['steady', 'fenced', 'restarted', 'promoted'];
const journalOf = (runId: string) => new Run(pair.world, 0).journal({ runId, saved: { ttl: 1 } });
let staleRun = '';

const VERBS: Record<keyof Store, Case | Harmless> = {
  observe: { harmless: 'reads' },
  sample: { harmless: 'reads' },
  preflight: { harmless: 'reads' },
  readClaim: { harmless: 'reads' },
  awaitCatchUp: { harmless: 'reads, and starts a fenced target read-only, which needs the claim' },
  prove: { harmless: 'reads' },
  leftBehind: { harmless: 'reads' },
  escape: { harmless: 'reads' },
  readReplay: { harmless: 'reads' },
  recoveryPoints: { harmless: 'reads' },
  pauseReplay: { harmless: 'no run of the service: refused by its activity once the halt is over' },
  resumeReplay: { harmless: 'what every replica does by itself' },
  converge: { harmless: 'makes its own tables and a checkpoint on whatever is writable, and waits' },
  verifyWritable: { harmless: 'one row in its own table; what it changes of the settings needs the claim' },
  drainOutgoing: { harmless: 'not there: this store has one writable side' },
  switchover: { harmless: 'not there: this store is staged' },
  claim: { at: everywhere, send: (at) => at(A).claim({ region: A }, journalOf(staleRun)) },
  journal: { at: everywhere, send: (at) => at(A).journal({ region: A }, { saved: { ttl: 1 }, fencedAt: 1 }) },
  fence: { at: ['steady'], send: (at) => at(A).fence({ region: A }) },
  unfence: {
    at: ['fenced', 'restarted', 'promoted'],
    send: (at) => at(A).unfence({ region: A }, { to: B, deadline: null }),
  },
  promote: {
    at: ['fenced', 'restarted', 'promoted'],
    send: (at, proof) => at(B).promote({ region: B }, A, proof, { timeline: 1 }),
  },
  revokePromote: { at: everywhere, send: (at) => at(B).revokePromote({ region: B }) },
  rejoin: { at: ['promoted'], send: (at) => at(A).rejoin({ region: A }, B) },
  rebuild: { at: ['promoted'], send: (at) => at(A).rebuild({ region: A }, B) },
  release: { at: everywhere, send: (at) => at(A).release({ region: A }) },
};

let pair: Pair;
let first: Run;
let second: Run;
let kept: string;
let proof: FenceReceipt | null = null;

/** Everything a stale attempt could have changed. */
async function world(): Promise<unknown> {
  const files = (node: string) => {
    const { data } = pair.nodes[node]!;
    const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : null);
    return {
      beside: readdirSync(dirname(data)).sort(),
      signal: existsSync(join(data, 'standby.signal')),
      settings: read(join(data, 'postgresql.auto.conf')),
      claim: read(join(`${data}.rampart`, 'claim.json')),
      journal: read(join(`${data}.rampart`, 'journal.json')),
      pid: readPostmaster(data)?.pid ?? null,
    };
  };
  const [a, b] = [await second.observe(A), await second.observe(B)];
  const server = async (node: string) =>
    readPostmaster(pair.nodes[node]!.data) === undefined
      ? null
      : pair.sql(
          node,
          `SELECT pg_is_in_recovery() AS recovering, (SELECT array_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots) AS slots,
             current_setting('synchronous_standby_names') AS sync`,
        );
  return {
    states: [a.state, b.state, a.timeline, b.timeline],
    kept: existsSync(join(kept, 'PG_VERSION')),
    files: [files(A), files(B)],
    servers: [await server(A), await server(B)],
  };
}

/** The stale tokens, each with a word for what it is. */
function stale(): Array<[string, Token]> {
  return [
    ['an attempt of this run that was given up', { ...second.token(), seq: 1 }],
    ['an older run', { ...first.token(), seq: 1_000_000 }],
    ['a run of another server with the same epoch', { ...second.token(), runId: 'another-server', seq: 1_000_000 }],
  ];
}

/** Sends every verb that could do harm at this moment with every stale token. */
async function replay(moment: Moment): Promise<void> {
  const before = await world();
  for (const [verb, entry] of Object.entries(VERBS)) {
    if ('harmless' in entry || !entry.at.includes(moment)) continue;
    for (const [who, token] of stale()) {
      staleRun = token.runId;
      // The proof is as good as it can be: only the token is stale.
      const own = proof === null ? null : { ...proof, fence: { ...proof.fence, epoch: token.epoch } };
      const sent = entry.send((region) => second.at(region, { token }), own);
      const outcome = await sent.then(
        (receipt) => ((receipt as Receipt).already ? 'already' : 'done'),
        (error: RampartError) => error.type,
      );
      // Its own run has the place already: as long as the journal is open, claiming once more changes nothing.
      const allowed = verb === 'claim' && token.runId === second.id ? ['Conflict', 'already'] : ['Conflict'];
      expect(allowed, `${verb} by ${who}, ${moment}`).toContain(outcome);
    }
    expect(await world(), `after ${verb}, ${moment}`).toEqual(before);
  }
}

describe('a stale attempt is refused and changes nothing', () => {
  beforeAll(async () => {
    pair = await startPair();
    first = await pair.newRun();
    second = await pair.newRun();
    // Old data of an earlier repair, for `release`.
    const node = { dataDir: pair.nodes[A]!.data } as LocalNode;
    kept = await chooseKeptDir(node, 'run-0');
    mkdirSync(kept);
    writeFileSync(join(kept, 'PG_VERSION'), '18\n');
    await second.at(null).converge(A, B, LIMIT);
    for (const region of [A, B]) await second.at(region).journal({ region }, {});
  }, 60_000);
  afterAll(() => pair?.close());

  test('the port has no verb that is not listed', () => {
    expect(Object.keys(VERBS)).toEqual(expect.arrayContaining(Object.keys(second.at(null))));
  });

  test('while the source serves', () => replay('steady'));

  test('while it is fenced', async () => {
    proof = await second.at(A).fence({ region: A });
    await replay('fenced');
  });

  test('while it is fenced and somebody has started it again', async () => {
    await startPostgres({ data: pair.nodes[A]!.data, bin: pair.nodes[A]!.bin });
    proof = await second.at(A).prove({ region: A });
    await replay('restarted');
  });

  test('after the promotion', async () => {
    proof = await second.at(A).prove({ region: A });
    await second.at(B).promote({ region: B }, A, proof, { timeline: 1 });
    await second.at(B).verifyWritable({ region: B }, A);
    await replay('promoted');
  });

  test('after the run has closed its journal: a late claim does not open it again', async () => {
    await second.close();
    await replay('promoted');
    expect((await second.observe(A)).journal?.open).toBe(false);
  });
});
