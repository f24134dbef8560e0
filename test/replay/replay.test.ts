/**
 * Golden histories of closed runs against the present workflow code: a change that breaks runs under way fails here.
 * Such a change needs `patched()`, or, before anything is released, the histories recorded anew: record.mjs says how.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, it } from 'vitest';

const FOLDER = fileURLToPath(new URL('./histories', import.meta.url));
const WORKFLOWS = fileURLToPath(new URL('../../workflows/index.ts', import.meta.url));

function histories(): Array<{ name: string; path: string }> {
  if (!existsSync(FOLDER)) return [];
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ name: basename(file, '.json'), path: join(FOLDER, file) }));
}

describe('replay of golden histories', () => {
  const results = new Map<string, Error | undefined>();

  beforeAll(async () => {
    Runtime.install({ logger: new DefaultLogger('ERROR') });
    const recorded = histories().map(({ name, path }) => ({
      workflowId: name,
      history: historyFromJSON(JSON.parse(readFileSync(path, 'utf8'))),
    }));
    if (recorded.length === 0) return;
    // Workflows look at their own id: it is the lock.
    const runs = recorded.map(({ workflowId, history }) => ({
      history,
      workflowId: history.events?.[0]?.workflowExecutionStartedEventAttributes?.workflowId || workflowId,
    }));
    const names = recorded.map(({ workflowId }) => workflowId).values();
    for await (const { error } of Worker.runReplayHistories({ workflowsPath: WORKFLOWS }, runs)) {
      results.set(names.next().value as string, error);
    }
  });

  it('has histories to replay', () => {
    expect(histories(), `no history in ${FOLDER}: record some, see test/replay/record.mjs`).not.toHaveLength(0);
  });

  it.each(histories())('$name', ({ name }) => {
    expect(results.has(name)).toBe(true);
    const error = results.get(name);
    if (error) throw error;
  });
});
