import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { askTool, readControlData } from '../../../drivers/postgres/control-data.ts';
import { parseControlFile, readControlFile } from '../../../drivers/postgres/control-file.ts';
import { closeSessions } from '../../../drivers/sql/session.ts';
import { withClient } from '../../../lab/postgres/pair.ts';
import { killPostgres, startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import { A, B, type Pair, startPair } from './pair.ts';

const pairs: Pair[] = [];
afterAll(async () => {
  await Promise.all(pairs.map((pair) => pair.close()));
  await closeSessions();
});

/** The file as we read it and as PostgreSQL's own tool does; both must say the same. */
async function agreed(data: string, bin: string): Promise<string> {
  const { signal } = new AbortController();
  const file = await readControlFile(data);
  expect(file, 'the layout of this version is known').not.toBeNull();
  const tool = await askTool(data, bin, signal);
  expect(await readControlData(data, bin, signal)).toEqual(tool);
  return tool.state;
}

for (const version of [18, 16] as const) {
  test(`PostgreSQL ${version}: every state reads as pg_controldata prints it`, { timeout: 60_000 }, async () => {
    const pair = await startPair({ version });
    pairs.push(pair);
    const primary = pair.nodes[A]!;
    const replica = pair.nodes[B]!;
    await withClient(primary.url, (client) => client.query('CHECKPOINT'));
    expect(await agreed(primary.data, primary.bin)).toBe('in production');
    expect(await agreed(replica.data, replica.bin)).toBe('in archive recovery');
    await stopPostgres(primary.data);
    expect(await agreed(primary.data, primary.bin)).toBe('shut down');
    await stopPostgres(replica.data);
    expect(await agreed(replica.data, replica.bin)).toBe('shut down in recovery');
    await startPostgres({ data: primary.data, bin: primary.bin });
    await killPostgres(primary.data);
    expect(await agreed(primary.data, primary.bin)).toBe('in production');

    const path = join(primary.data, 'global/pg_control');
    const whole = readFileSync(path);
    for (const [what, change] of Object.entries<(file: Buffer) => void>({
      'one bit of the state': (file) => file.writeUInt8(file.readUInt8(16) ^ 1, 16),
      'the checksum': (file) => file.writeUInt32LE(1, version === 18 ? 292 : 288),
      'an unknown version': (file) => file.writeUInt32LE(1900, 8),
    })) {
      const broken = Buffer.from(whole);
      change(broken);
      expect(parseControlFile(broken), what).toBeNull();
    }
    expect(parseControlFile(whole.subarray(0, 100))).toBeNull();
    writeFileSync(path, whole.subarray(0, 290));
    expect(await readControlFile(primary.data)).toBeNull();
    writeFileSync(path, whole);
  });
}
